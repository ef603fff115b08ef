package upstream

import (
	"encoding/json"
	"fmt"

	"cunban/sync/wire"
)

func marshal(v any) ([]byte, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("write JSON: %w", err)
	}
	return b, nil
}

func pinOf(c *County) string { return wire.CAPin(c.o.Keys.CA) }
