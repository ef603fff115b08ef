package pcsc

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
)

// client is one connection to the service that is not this program's.
type client struct {
	inode uint32 // of the client's end of the socket
	uid   uint32
}

// holders are the programs that may hold the reader. PC/SC tells nobody who it
// is, and pcscd does not keep it; what can be known is who is connected to it.
type holders struct {
	names []string
	// sure is that there is one and it is connected: then it must be it.
	sure bool
	how  string // where the names come from, for technicians
}

// maxNamed bounds how many programs are named.
const maxNamed = 3

// findHolders names the programs other than this one that are connected to the
// service. Where the kernel does not say who is, it falls back on those that
// have the client library mapped, and is not sure.
func findHolders(proc string, self int) holders {
	clients, err := serviceClients(serviceSocket)
	if err == nil {
		if names := nameClients(proc, self, clients); len(names) > 0 {
			return holders{names, len(names) == 1, "connected to " + serviceSocket}
		}
		return holders{how: "no other program is connected to " + serviceSocket}
	}
	names := findMapped(proc, self)
	how := "has libpcsclite mapped"
	if len(names) == 0 {
		how = "no program that may be looked into has libpcsclite mapped"
	}
	return holders{names, false, fmt.Sprintf("%s; clients of %s are not known: %v", how, serviceSocket, err)}
}

// nameClients finds the processes behind connections: "scdaemon 4711". One that
// belongs to another user and may not be looked into is named by its user.
func nameClients(proc string, self int, clients []client) []string {
	if len(clients) == 0 {
		return nil
	}
	owner := map[uint32]int{}
	fds, _ := filepath.Glob(filepath.Join(proc, "[0-9]*", "fd", "[0-9]*")) // the pattern is well-formed
	for _, fd := range fds {
		to, err := os.Readlink(fd)
		if err != nil {
			continue // it ended, or is somebody else's
		}
		var inode uint32
		if _, err := fmt.Sscanf(to, "socket:[%d]", &inode); err != nil {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(fd)))); err == nil {
			owner[inode] = pid
		}
	}
	seen := map[string]bool{}
	var names []string
	for _, c := range clients {
		pid, known := owner[c.inode]
		name := userWords(c.uid)
		if known {
			name = processName(proc, pid)
		}
		if pid == self || seen[name] || len(names) == maxNamed {
			continue
		}
		seen[name] = true
		names = append(names, name)
	}
	return names
}

func processName(proc string, pid int) string {
	comm, err := os.ReadFile(filepath.Join(proc, strconv.Itoa(pid), "comm"))
	if err != nil {
		return strconv.Itoa(pid)
	}
	return fmt.Sprintf("%s %d", strings.TrimSpace(string(comm)), pid)
}

func userWords(uid uint32) string {
	id := strconv.FormatUint(uint64(uid), 10)
	if u, err := user.LookupId(id); err == nil {
		id = u.Username
	}
	return "用户 " + id + " 的程序"
}

// findMapped names programs other than this one that have PC/SC's client
// library mapped, as far as proc, the root of the process tree, shows them.
func findMapped(proc string, self int) []string {
	dirs, _ := filepath.Glob(filepath.Join(proc, "[0-9]*")) // the pattern is well-formed
	var names []string
	for _, d := range dirs {
		pid, err := strconv.Atoi(filepath.Base(d))
		if err != nil || pid == self || len(names) == maxNamed {
			continue
		}
		maps, err := os.ReadFile(filepath.Join(d, "maps"))
		if err == nil && strings.Contains(string(maps), "/libpcsclite.so") {
			names = append(names, processName(proc, pid))
		}
	}
	return names
}
