package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"cunban/sync/upstream"
	"cunban/sync/wire"
)

func casesCmd(ctx context.Context, a *app, args []string) error {
	fset, c := a.flags("cases")
	state := fset.String("state", "", "only cases in this state")
	if _, err := parse(fset, c, args, 0); err != nil {
		return err
	}
	if *state != "" && !slices.Contains(upstream.CaseStates, upstream.CaseState(*state)) {
		return fmt.Errorf("--state %q: allowed are %v", *state, upstream.CaseStates)
	}
	return with(ctx, c, func(county *upstream.County) error {
		list, err := county.Cases(ctx, upstream.CaseQuery{State: upstream.CaseState(*state)})
		if err != nil {
			return err
		}
		out := []upstream.CaseView{}
		lines := [][]any{{"受理号", "事项", "状态", "期限", "终端", "演示", "编号"}}
		for _, row := range list {
			v := county.View(row)
			out = append(out, v)
			lines = append(lines, []any{v.Acceptance, v.ServiceName, v.StateName, v.Due, v.Terminal, v.Demo, v.ID})
		}
		if c.json {
			return a.json(out)
		}
		return a.table(lines)
	})
}

// errNotDemo keeps real persons off the command line.
var errNotDemo = errors.New("--clear shows demo cases only; real ones are read on the staff page, where it is written down who did")

func show(ctx context.Context, a *app, args []string) error {
	fset, c := a.flags("show")
	inClear := fset.Bool("clear", false, "show what the resident wrote; demo cases only")
	words, err := parse(fset, c, args, 1)
	if err != nil {
		return err
	}
	return with(ctx, c, func(county *upstream.County) error {
		row, err := county.FindCase(ctx, words[0])
		if err != nil {
			return err
		}
		if *inClear && !row.Demo {
			return errNotDemo
		}
		d, err := county.OpenDossier(ctx, row.ID, byCommand)
		if err != nil {
			return err
		}
		r := county.Record(d, !*inClear)
		if c.json {
			return a.json(r)
		}
		lines := [][]any{{"受理号", r.Acceptance}, {"编号", r.ID}, {"事项", r.ServiceName}, {"状态", r.StateName},
			{"期限", r.Due}, {"终端", r.Terminal}, {"演示", r.Demo}, {"申请人", r.Applicant.Name + " " + r.Applicant.Number},
			{"登记库核对", r.Claim}, {"已签名", r.Signed}}
		for _, x := range r.Answers {
			lines = append(lines, []any{x.Label, x.Value})
		}
		for _, f := range r.Files {
			lines = append(lines, []any{"扫描件 " + f.Name, fmt.Sprintf("%s 第%d页 %d 字节", f.Material, f.Page, f.Size)})
		}
		for _, e := range r.Events {
			lines = append(lines, []any{e.At.Local().Format("2006-01-02 15:04:05"), e.Text + " " + e.By})
		}
		return a.table(lines)
	})
}

// decide makes the command that moves a case to a state.
func decide(to upstream.CaseState) func(context.Context, *app, []string) error {
	return func(ctx context.Context, a *app, args []string) error {
		fset, c := a.flags(string(to))
		field := fset.String("field", "", "field to mend")
		label := fset.String("label", "", "its label; none = as in the catalogue")
		reason := fset.String("reason", "", "what to mend, in words for the resident")
		note := fset.String("note", "", "words for the resident")
		words, err := parse(fset, c, args, 1)
		if err != nil {
			return err
		}
		return with(ctx, c, func(county *upstream.County) error {
			row, err := county.FindCase(ctx, words[0])
			if err != nil {
				return err
			}
			d := upstream.Decision{State: to, Note: *note, By: byCommand}
			if to == upstream.StateReturned {
				m := wire.Mend{Field: *field, Label: *label, Reason: *reason}
				if m.Label == "" {
					m.Label = county.FieldLabel(row.Service, m.Field)
				}
				d.Mend = []wire.Mend{m}
			}
			if row, err = county.Decide(ctx, row.ID, d); err != nil {
				return err
			}
			if c.json {
				return a.json(county.View(row))
			}
			fmt.Fprintln(a.out, row.Acceptance, row.State.Name())
			return nil
		})
	}
}
