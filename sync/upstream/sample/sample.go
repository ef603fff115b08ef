// Package sample is a register of made-up persons, so that a terminal, a
// demonstration and the tests have somebody to ask about. It guarantees that
// nobody in it is real: the numbers are the test numbers of the design texts,
// everything else is invented. It stands where a county puts its own register
// (upstream.Register).
package sample

import (
	"context"
	"fmt"
	"strings"
	"time"

	"cunban/sync/upstream"
	"cunban/sync/wire"
)

// CardState is the closed set of states of a social-security card.
type CardState string

// Card states.
const (
	CardActive CardState = "active"
	CardLost   CardState = "lost"
	CardVoid   CardState = "void"
)

// Person is one entry.
type Person struct {
	Number         string
	Name           string
	Sex            string // GB/T 2261.1
	Ethnic         string // GB/T 3304
	BirthDate      string // YYYYMMDD
	Address        string
	CardNumber     string
	CardIdentifier string // 32 hex digits: 140830, D156000005, then 16 more
	Card           CardState
	Region         string // 12-digit code of the village
	Grade          int    // yuan a year of 城乡居民养老保险, 0 = not insured
	Since          int    // first year of contributions
	Pension        string // monthly pension, "" = none yet
}

// Persons are the made-up entries.
var Persons = []Person{
	{Number: "140830195603120024", Name: "张桂兰", Sex: "2", Ethnic: "01", BirthDate: "19560312",
		Address: "山西省芮城县古魏镇南关村12号", CardNumber: "D12345678",
		CardIdentifier: "140830D15600000501A1B2C3D4E5F607", Card: CardActive, Region: "140830100009",
		Grade: 300, Since: 2010, Pension: "168.50"},
	{Number: "142723194809051237", Name: "王守田", Sex: "1", Ethnic: "01", BirthDate: "19480905",
		Address: "山西省芮城县风陵渡镇西王村3组", CardNumber: "D00420817",
		CardIdentifier: "142723D156000005F1E2D3C4B5A69788", Card: CardActive, Region: "140830101202",
		Grade: 200, Since: 2010, Pension: "186.00"},
	{Number: "140830198707144518", Name: "李建军", Sex: "1", Ethnic: "01", BirthDate: "19870714",
		Address: "山西省芮城县阳城镇阳城村8号", CardNumber: "D56473829",
		CardIdentifier: "140830D15600000511223344AABBCCDD", Card: CardActive, Region: "140830106202"},
	{Number: "140830199301080125", Name: "陈晓燕", Sex: "2", Ethnic: "01", BirthDate: "19930108",
		Address: "山西省芮城县古魏镇亚宝社区5号", CardNumber: "D99887701",
		CardIdentifier: "140830D1560000050000000000000004", Card: CardActive, Region: "140830100011",
		Grade: 500, Since: 2018},
}

// Register answers from Persons. The zero value is not usable; see New.
type Register struct {
	persons map[string]Person
	now     func() time.Time
}

// New makes the register; nil persons means Persons.
func New(now func() time.Time, persons []Person) *Register {
	if persons == nil {
		persons = Persons
	}
	r := &Register{persons: map[string]Person{}, now: now}
	for _, p := range persons {
		r.persons[p.Number] = p
	}
	return r
}

var _ upstream.Register = (*Register)(nil)

// AsOf is now: the entries never change.
func (r *Register) AsOf() time.Time { return r.now().UTC() }

// person finds an entry by number and name.
func (r *Register) person(number, name string) (Person, error) {
	p, ok := r.persons[strings.ToUpper(number)]
	if !ok || p.Name != name {
		return Person{}, upstream.ErrNoPerson
	}
	return p, nil
}

// Verify compares a claim with the entry. Only what the card gave is compared;
// number and name must be there.
func (r *Register) Verify(_ context.Context, in wire.VerifyClaimIn) (wire.VerifyClaimOut, error) {
	p, ok := r.persons[strings.ToUpper(in.Number)]
	if !ok {
		return wire.VerifyClaimOut{Result: wire.VerifyUnknown, Text: "没有查到登记信息，请帮办员核对证件"}, nil
	}
	differs := func(claimed, known string) bool { return claimed != "" && claimed != known }
	if in.Name != p.Name || differs(in.Sex, p.Sex) || differs(in.BirthDate, p.BirthDate) {
		return wire.VerifyClaimOut{Result: wire.VerifyMismatch, Text: "卡上信息和登记的不一致，请帮办员核对证件"}, nil
	}
	if in.Source == "social_card" {
		if differs(in.CardNumber, p.CardNumber) || differs(strings.ToUpper(in.CardIdentifier), p.CardIdentifier) {
			return wire.VerifyClaimOut{Result: wire.VerifyCardVoid, Text: "这张卡已不是现用的卡，请用身份证办理，或到窗口换卡"}, nil
		}
		if in.ExpiryDate != "" && in.ExpiryDate < r.now().Format("20060102") {
			return wire.VerifyClaimOut{Result: wire.VerifyCardVoid, Text: "卡已过有效期，请用身份证办理，或到窗口换卡"}, nil
		}
		switch p.Card {
		case CardLost:
			return wire.VerifyClaimOut{Result: wire.VerifyCardLost, Text: "这张卡已挂失，请用身份证办理"}, nil
		case CardVoid:
			return wire.VerifyClaimOut{Result: wire.VerifyCardVoid, Text: "这张卡已注销，请用身份证办理"}, nil
		case CardActive:
		}
	}
	return wire.VerifyClaimOut{Result: wire.VerifyMatch, Text: "信息一致"}, nil
}

// Prefill gives what is known, under the names of the forms' fields.
func (r *Register) Prefill(_ context.Context, in wire.PrefillIn) (wire.PrefillOut, error) {
	p, err := r.person(in.Number, in.Name)
	if err != nil {
		return wire.PrefillOut{}, err
	}
	// Only what the form asks the county for: the person's own words, such as a
	// telephone number, are asked again.
	v := map[string]string{"aab301": p.Region}
	last := r.now().Year() - 1
	insured := p.Grade > 0
	switch in.Service {
	case "S01":
		v["other_pension"], v["post_code"] = "2", "044600"
	case "S02":
		v["other_pension"] = map[bool]string{true: "1", false: "2"}[insured]
	case "S05":
		v["special_group"] = "00"
		if insured {
			v["cur_grade"] = fmt.Sprint(p.Grade)
		}
	case "S10":
		if insured {
			v["pay_years"] = fmt.Sprint(last - p.Since + 1)
		}
	case "C02":
		v["card_no"] = p.CardNumber
	}
	return wire.PrefillOut{Values: v}, nil
}

// subsidies are yuan a year by grade (Shanxi, 2022).
var subsidies = map[int]int{200: 35, 300: 40, 500: 60, 700: 80, 1000: 100, 1500: 140, 2000: 180, 3000: 220, 4000: 260, 5000: 300}

// Records gives a small table for the query services.
func (r *Register) Records(_ context.Context, in wire.RecordsIn) (wire.RecordsOut, error) {
	p, err := r.person(in.Number, in.Name)
	if err != nil {
		return wire.RecordsOut{}, err
	}
	const note = "演示数据，不是真实记录"
	year := r.now().Year()
	out := wire.RecordsOut{Columns: []string{}, Rows: [][]string{}, Note: note}
	switch in.Service {
	case "S07", "S08", "S09":
		out.Title, out.Columns = "城乡居民养老保险缴费记录", []string{"年度", "个人缴费（元）", "政府补贴（元）", "到账日期"}
		if p.Grade == 0 {
			out.Title = "没有参保缴费记录"
			return out, nil
		}
		sum, years := 0, 0
		for y := year - 1; y >= p.Since; y-- {
			sum, years = sum+p.Grade+subsidies[p.Grade], years+1
			if in.Year != 0 && in.Year != y {
				continue
			}
			out.Rows = append(out.Rows, []string{fmt.Sprint(y), fmt.Sprint(p.Grade), fmt.Sprint(subsidies[p.Grade]), fmt.Sprintf("%d-09-10", y)})
		}
		out.Summary = []wire.Pair{{Label: "缴费年数", Value: fmt.Sprintf("%d 年", years)}, {Label: "个人账户合计", Value: fmt.Sprintf("%d 元", sum)}}
	case "S12":
		out.Title, out.Columns = "养老金发放记录", []string{"月份", "金额（元）", "发放日期", "状态"}
		if p.Pension == "" {
			out.Title = "还没有领取养老金"
			return out, nil
		}
		for m := range 6 {
			t := time.Date(year, r.now().Month()-time.Month(m), 1, 0, 0, 0, 0, time.UTC)
			out.Rows = append(out.Rows, []string{t.Format("2006-01"), p.Pension, t.Format("2006-01") + "-15", "已发放"})
		}
		out.Summary = []wire.Pair{{Label: "每月养老金", Value: p.Pension + " 元"}}
	case "C01":
		state := map[CardState]string{CardActive: "正常", CardLost: "已挂失", CardVoid: "已注销"}[p.Card]
		out.Title = "社会保障卡信息"
		out.Summary = []wire.Pair{{Label: "卡状态", Value: state}, {Label: "卡号", Value: p.CardNumber[:3] + "****" + p.CardNumber[7:]}, {Label: "制卡进度", Value: "已制卡、已领取"}}
	case "T03", "J10":
		out.Title, out.Columns = "证书记录", []string{"证书", "等级", "发证日期"}
		if p.Number == "140830198707144518" {
			out.Rows = append(out.Rows, []string{"焊工", "四级（中级工）", "2019-06-20"})
		}
	default:
		out.Title = "没有记录"
	}
	return out, nil
}
