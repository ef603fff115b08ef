package print

import (
	"context"
	"net/http/httptrace"
)

func gotConn(ctx context.Context) {
	if tr := httptrace.ContextClientTrace(ctx); tr != nil && tr.GotConn != nil {
		tr.GotConn(httptrace.GotConnInfo{})
	}
}
