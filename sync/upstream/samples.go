package upstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"cunban/sync/wire"
)

// sampleKinds tells which file of made-up data becomes which kind of object.
var sampleKinds = map[string]wire.Kind{
	"jobs": wire.KindJob, "courses": wire.KindCourse, "events": wire.KindEvent, "posts": wire.KindPost,
	"policies": wire.KindPolicy, "notices": wire.KindNotice,
}

// ErrSample says that a sample file has another shape.
var ErrSample = errors.New("not a sample file: a JSON array of objects with an \"id\"")

// LoadSamples publishes every <kind>.json of a file system: a JSON array of
// objects with an "id". It returns how many objects each file has; those that
// are out already in the same words keep their version.
func (c *County) LoadSamples(ctx context.Context, samples fs.FS) (map[string]int, error) {
	files, err := fs.Glob(samples, "*.json")
	if err != nil {
		return nil, fmt.Errorf("load samples: %w", err)
	}
	counts := map[string]int{}
	for _, f := range files {
		name := strings.TrimSuffix(path.Base(f), ".json")
		kind, ok := sampleKinds[name]
		if !ok {
			continue
		}
		b, err := fs.ReadFile(samples, f)
		if err != nil {
			return nil, fmt.Errorf("load samples: %w", err)
		}
		var list []json.RawMessage
		if err := json.Unmarshal(b, &list); err != nil {
			return nil, fmt.Errorf("%s: %w: %w", f, ErrSample, err)
		}
		// From the last to the first: lists show the newest first.
		for i := len(list) - 1; i >= 0; i-- {
			var head struct {
				ID string `json:"id"`
			}
			if err := json.Unmarshal(list[i], &head); err != nil || head.ID == "" {
				return nil, fmt.Errorf("%s: object %d: %w", f, i+1, ErrSample)
			}
			if _, err := c.Publish(ctx, kind, head.ID, "", list[i]); err != nil {
				return nil, fmt.Errorf("%s: %w", f, err)
			}
			counts[name]++
		}
	}
	return counts, nil
}
