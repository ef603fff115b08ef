// Package handwriting recognises one character written with a finger. It is a
// thin adapter over zinnia with the Tegaki model for simplified Chinese
// (Debian: libzinnia-dev, tegaki-zinnia-simplified-chinese), because a
// village's rare surnames are found by writing them when their pinyin is not
// known.
//
// It keeps nothing: strokes go in, candidates come out, and the C objects of
// a call die with it. Methods are safe for concurrent use.
package handwriting

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

// Point is a place on the pad, in pixels from its upper left corner.
type Point struct{ X, Y int }

// Limits of one call; more is cut off, because the cost grows with the number
// of points and no character needs it.
const (
	MaxStrokes = 64
	MaxPoints  = 4096 // points of all strokes together
	MaxResults = 100
)

// ErrUnavailable means that zinnia's model is not on this machine (or the
// program was built without cgo). The pad hides the handwriting mode.
var ErrUnavailable = errors.New("handwriting: zinnia or its model is not installed")

// Models are the places where the model is looked for, in order, when Open is
// given no path.
var Models = []string{
	"/usr/share/tegaki/models/zinnia/handwriting-zh_CN.model",
	"/usr/local/share/tegaki/models/zinnia/handwriting-zh_CN.model",
	"/usr/lib/zinnia/model/tomoe/handwriting-zh_CN.model",
	"/usr/share/zinnia/model/tomoe/handwriting-zh_CN.model",
	"/opt/cunban/share/zinnia/handwriting-zh_CN.model",
}

// maxModel bounds what Open reads, in bytes; the Tegaki model has 32 MB.
const maxModel = 256 << 20

// findModel returns the model to load. zinnia maps the file and trusts what
// is in it, so that only a plausible regular file is handed on.
func findModel(model string) (string, error) {
	paths := Models
	if model != "" {
		paths = []string{model}
	}
	for _, p := range paths {
		info, err := os.Stat(p)
		if err != nil {
			continue
		}
		if !info.Mode().IsRegular() || info.Size() < 1024 || info.Size() > maxModel {
			return "", fmt.Errorf("%w: %s is not a zinnia model", ErrUnavailable, p)
		}
		return p, nil
	}
	return "", fmt.Errorf("%w: no model in %s (Debian package tegaki-zinnia-simplified-chinese)",
		ErrUnavailable, strings.Join(paths, ", "))
}

// tidy drops empty strokes, thins out points that add nothing and clamps the
// rest into the pad. A stroke of one point (a tap) becomes two, since zinnia
// takes features from the line between points.
func tidy(strokes [][]Point, w, h int) [][]Point {
	var out [][]Point
	left := MaxPoints
	for _, s := range strokes {
		if len(out) == MaxStrokes || left < 2 {
			break
		}
		var line []Point
		for _, p := range s {
			p.X, p.Y = min(max(p.X, 0), w-1), min(max(p.Y, 0), h-1)
			if n := len(line); n > 0 && line[n-1] == p {
				continue
			}
			if left == 0 {
				break
			}
			line = append(line, p)
			left--
		}
		if len(line) == 1 {
			p := line[0]
			line = append(line, Point{min(p.X+1, w-1), min(p.Y+1, h-1)})
			left--
		}
		if len(line) > 0 {
			out = append(out, line)
		}
	}
	return out
}
