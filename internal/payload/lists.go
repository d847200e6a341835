package payload

import (
	"io/fs"
	"strings"

	coreruleset "github.com/corazawaf/coraza-coreruleset/v4"

	"weir/internal/match"
)

// Lists of names come from the OWASP core rule set, where they are maintained. They
// were made for scoring: a name alone is never a finding here.

// list returns the entries of a data file of the core rule set, in lower case.
func list(name string) []string {
	data, err := fs.ReadFile(coreruleset.FS, "@owasp_crs/"+name+".data")
	if err != nil {
		panic("BUG: the core rule set has no list " + name + ": " + err.Error())
	}
	var entries []string
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSpace(line)
		if line != "" && line[0] != '#' {
			entries = append(entries, strings.ToLower(line))
		}
	}
	return entries
}

// RestrictedFiles returns parts of paths, in lower case and without a leading slash
// where any directory may hold them, that no site serves on purpose: the core rule
// set's restricted-files list.
func RestrictedFiles() []string { return list("restricted-files") }

// nameKind says what kind of file a sensitive name is.
type nameKind uint8

const (
	systemName  nameKind = 1 << iota // of the operating system or a server: only there under this name
	projectName                      // of somebody's home or project: people do look at those on code sites
)

// sensitive finds names of files that an attacker reads once he has a way out.
var sensitive = match.New(sensitiveNames())

func sensitiveNames() []match.Needle[nameKind] {
	var needles []match.Needle[nameKind]
	seen := make(map[string]bool)
	add := func(kind nameKind, names ...string) {
		for _, name := range names {
			name = strings.Trim(strings.ReplaceAll(name, "\\", "/"), "/")
			if len(name) < 4 || seen[name] {
				continue
			}
			seen[name] = true
			edge := match.Anywhere
			if match.IsWord(name[len(name)-1]) {
				edge = match.WordEnd
			}
			needles = append(needles, match.Needle[nameKind]{Text: name, Flags: kind, Edge: edge})
		}
	}
	add(systemName,
		"etc/passwd", "etc/shadow", "etc/hosts", "etc/group", "etc/issue", "etc/sudoers", "etc/crontab", "etc/fstab", "etc/motd", "etc/hostname", "etc/resolv.conf",
		"proc/self", "proc/version", "proc/cmdline", "proc/1", "proc/net", "proc/mounts", "var/log", "var/www/logs", "apache/logs", "apache2/logs", "usr/local/apache",
		"windows/win.ini", "winnt/win.ini", "windows/system32", "windows/system.ini", "windows/repair", "winnt/system32", "win.ini", "boot.ini", "inetpub/wwwroot", "inetpub/logs",
		"web-inf/web.xml", "web-inf/classes", "meta-inf/context.xml", "global.asa", "root/.ssh", "root/.bash_history", "pure-ftpd.conf",
		"usr/local/etc", "conf/httpd.conf", "run/secrets", "var/run/secrets", "users/administrator", "sysprep/sysprep.inf", "sysprep.inf",
	)
	add(projectName, ".env", ".git/config", "wp-config.php", "configuration.php", "settings.py", "database.yml", "users.db", ".htpasswd", ".htaccess", "web.config", "application.properties", "application.yml", "config.php", "id_rsa")
	for _, name := range list("lfi-os-files") {
		switch top, _, _ := strings.Cut(name, "/"); top {
		case "etc", "proc":
			add(systemName, name)
		default:
			add(projectName, name)
		}
	}
	return needles
}

// shellCommands are the programs of a Unix system and what a shell has built in.
var shellCommands = func() map[string]bool {
	commands := make(map[string]bool)
	for _, name := range list("unix-shell") {
		if i := strings.LastIndexByte(name, '/'); i >= 0 && !strings.HasSuffix(name, "-") {
			commands[name[i+1:]] = true
		}
	}
	for _, name := range list("unix-shell-builtins") {
		commands[name] = true
	}
	for _, name := range []string{
		"id", "whoami", "ls", "cat", "pwd", "uname", "ps", "env", "wget", "curl", "nc", "ncat", "ping", "sleep", "echo", "bash", "sh", "dash", "ksh", "zsh", "busybox", "python", "python3", "perl", "ruby", "php", "node",
		"nslookup", "dig", "host", "ifconfig", "netstat", "tftp", "fetch", "chmod", "rm", "cp", "mv", "touch", "kill", "head", "tail", "more", "less", "grep", "find", "awk", "sed", "tee", "xargs", "base64",
		"dir", "type", "ipconfig", "systeminfo", "net", "tasklist", "certutil", "bitsadmin", "mshta", "rundll32", "regsvr32", "powershell", "pwsh", "cmd", "ver", "set", "phpinfo",
	} {
		commands[name] = true
	}
	return commands
}()

// phpFunctions are functions that give a script's author more than he should have.
var phpFunctions = func() map[string]bool {
	functions := make(map[string]bool)
	for _, name := range list("php-function-names-933150") {
		functions[name] = true
	}
	for _, name := range []string{
		"system", "exec", "passthru", "shell_exec", "popen", "proc_open", "eval", "assert", "phpinfo", "base64_decode", "file_get_contents", "file_put_contents", "md5", "print_r", "var_dump",
		"call_user_func", "call_user_func_array", "create_function", "str_rot13", "gzinflate", "highlight_file", "show_source", "readfile", "scandir", "die", "print", "phpversion", "getenv", "unserialize",
	} {
		functions[name] = true
	}
	return functions
}()
