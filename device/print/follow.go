package print

import (
	"context"
	"errors"
	"fmt"
	"slices"
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

// ended says how a job physically ended; ended is false while sheets may still
// move. What job-state leaves open, job-state-reasons tell (RFC 8011 §5.3.8).
func (p *Printer) ended(j job) (r device.PrintResult, ended bool) {
	r.JobID, r.Detail = strconv.Itoa(j.id), fmt.Sprint(j.reasons, " ", j.message)
	switch j.state {
	case jobPending, jobHeld, jobProcessing, jobStopped:
		return r, false
	case jobCanceled, jobAborted, jobCompleted:
		if j.because("processing-to-stop-point") {
			return r, false // the sheet that is inside still comes out
		}
	}
	switch j.state {
	case jobCompleted:
		return completed(r, j), true
	case jobCanceled:
		r.End, r.Cause = device.PrintFailed, "这份在打印机上被取消了。"
		r.Remedy = "需要的话，再点一次“打印”。"
		return half(r, j), true
	case jobAborted:
		r.End, r.Cause, r.Remedy = device.PrintFailed, "打印机没能打出这一份。", callTechnician
		switch {
		case j.because("document-format-error", "unsupported-document-format", "document-unprintable-error", "conversion-error"):
			r.Cause, r.Remedy = "这台打印机不认这份 PDF 文件。", "请技术员经 CUPS 连接，或换一台支持 PDF 的打印机。"
		case j.because("document-access-error", "submission-interrupted", "job-data-insufficient"):
			r.Cause, r.Remedy = "这份文件没有完整传到打印机。", "看看打印机的数据线，再点一次“打印”。"
		case j.because("resources-are-not-supported", "account-closed", "account-authorization-failed", "account-limit-reached"):
			r.Cause, r.Remedy = "打印机不让打这一份。", "请技术员检查打印设置。"
		}
		return half(r, j), true
	case jobPending, jobHeld, jobProcessing, jobStopped:
	}
	return r, false // a printer's own number: not ended until it says so
}

// completed says what a job that its printer is done with means on paper: a
// spooler that has only handed it on, and a printer that made mistakes, do not
// know.
func completed(r device.PrintResult, j job) device.PrintResult {
	switch {
	case j.because("queued-in-device"), j.because("job-completed-with-errors"):
		u := unknown(j.id, r.Detail)
		return half(u, j)
	}
	r.End = device.PrintDone
	return r
}

// because tells whether one of the reasons is among the job's.
func (j job) because(reasons ...string) bool {
	return slices.ContainsFunc(j.reasons, func(r string) bool { return slices.Contains(reasons, r) })
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
