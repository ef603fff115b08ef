//go:build !linux

package doctor

import "errors"

func synced() (bool, error) { return false, errors.ErrUnsupported }

func free(string) (int64, error) { return 0, errors.ErrUnsupported }

func mayOpen(string) error { return errors.ErrUnsupported }
