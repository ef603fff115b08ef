//go:build race

package imaging_test

// raceDetector keeps a shadow of all memory, and the process is larger by it.
const raceDetector = true
