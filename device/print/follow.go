package print

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/OpenPrinting/goipp"

	"cunban/device"
)

// follow looks at a job until it has ended, is lost, or nobody waits any more.
func (p *Printer) follow(ctx context.Context, j job, progress func(string)) device.PrintResult {
	// Timers, not contexts: the end of ctx is answered by cancelling the job,
	// which needs a context that still lives.
	over := time.NewTimer(p.o.Job)
	defer over.Stop()
	look := time.NewTimer(0)
	defer look.Stop()
	heard := p.o.Now()
	said := ""
	say := func(s string) {
		if s != said {
			said = s
			progress(s)
		}
	}
	for {
		select {
		case <-ctx.Done():
			return p.abandon(ctx, j, "不打了。", context.Cause(ctx).Error())
		case <-over.C:
			return p.abandon(ctx, j, "打印机很久没有打出来，已经取消。", fmt.Sprintf("longer than %v", p.o.Job))
		case <-look.C:
		}
		now, err := p.job(ctx, j.id)
		switch {
		case err != nil && ctx.Err() != nil:
			continue // answered above
		case notFound(err):
			return unknown(j.id, err.Error())
		case err != nil:
			if p.o.Now().Sub(heard) > p.o.Lost {
				return unknown(j.id, err.Error())
			}
			say("等打印机回答")
		case !j.same(now):
			return unknown(j.id, fmt.Sprintf("the printer's job %d is another one now: it was restarted", j.id))
		default:
			heard = p.o.Now()
			if r, ended := p.ended(now); ended {
				return r
			}
			say(p.stage(ctx, now))
		}
		look.Reset(p.o.Follow)
	}
}

func notFound(err error) bool {
	var refused *statusError
	return errors.As(err, &refused) &&
		(refused.status == goipp.StatusErrorNotFound || refused.status == goipp.StatusErrorGone)
}

// job asks for a job's condition.
func (p *Printer) job(ctx context.Context, id int) (job, error) {
	ctx, cancel := context.WithTimeout(ctx, p.o.Request)
	defer cancel()
	m := p.request(goipp.OpGetJobAttributes)
	m.Operation.Add(goipp.MakeAttribute("job-id", goipp.TagInteger, goipp.Integer(id)))
	m.Operation.Add(goipp.MakeAttribute("requesting-user-name", goipp.TagName, goipp.String(p.o.User)))
	m.Operation.Add(keywords("requested-attributes", jobWanted...))
	reply, err := p.do(ctx, m, nil)
	if err != nil {
		return job{}, err
	}
	return readJob(reply.Job), nil
}

// ended says how a job ended; ended is false while it has not.
func (p *Printer) ended(j job) (r device.PrintResult, ended bool) {
	r.JobID, r.Detail = strconv.Itoa(j.id), fmt.Sprint(j.reasons, " ", j.message)
	switch j.state {
	case jobCompleted:
		r.End = device.PrintDone
		return r, true
	case jobCanceled:
		r.End, r.Cause = device.PrintFailed, "这份在打印机上被取消了。"
		r.Remedy = "需要的话，再点一次“打印”。"
		return half(r, j), true
	case jobAborted:
		r.End, r.Cause = device.PrintFailed, "打印机没能打出这一份。"
		r.Remedy = callTechnician
		return half(r, j), true
	case jobPending, jobHeld, jobProcessing, jobStopped:
		return r, false
	}
	return r, false // a printer's own number: not ended until it says so
}

// half adds what is known when some sheets came out before the end.
func half(r device.PrintResult, j job) device.PrintResult {
	if j.sheets > 0 {
		r.Cause += fmt.Sprintf("已经出来 %d 页。", j.sheets)
	}
	return r
}

// stage says what happens now, and what a person has to do for it to go on.
func (p *Printer) stage(ctx context.Context, j job) string {
	s, err := p.ask(ctx)
	if err == nil {
		if w, stops, ok := heaviest(s.reasons); ok && stops {
			return w.cause + w.remedy
		}
	}
	switch j.state {
	case jobPending:
		return "排队等打印"
	case jobHeld:
		return "打印机先放着这一份，请看看打印机的面板。"
	case jobStopped:
		return "打印机停下来了，请看看打印机。"
	case jobProcessing, jobCanceled, jobAborted, jobCompleted:
	}
	return fmt.Sprintf("正在打印第 %d 页", j.sheets+1)
}

// abandon cancels a job and says whether something may have come out.
func (p *Printer) abandon(ctx context.Context, j job, cause, detail string) device.PrintResult {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.o.Request)
	defer cancel()
	if err := p.cancel(ctx, j.id); err != nil {
		return unknown(j.id, detail+"; cancel: "+err.Error())
	}
	look := time.NewTimer(0)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return unknown(j.id, detail+"; cancel: "+ctx.Err().Error())
		case <-look.C:
		}
		now, err := p.job(ctx, j.id)
		if notFound(err) || err == nil && !j.same(now) {
			return unknown(j.id, detail)
		}
		if err == nil {
			if r, ended := p.ended(now); ended {
				if r.End == device.PrintFailed {
					r.Cause, r.Remedy = half(device.PrintResult{Cause: cause}, now).Cause, "需要的话，再点一次“打印”。"
				}
				r.Detail = detail
				return r
			}
		}
		look.Reset(p.o.Follow)
	}
}
