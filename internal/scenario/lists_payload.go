package scenario

// payloadNeedles are looked for in decoded queries, paths and headers, in lower
// case. Each alone is proof, but for the hints.
func payloadNeedles() []needle {
	return join(traversals(), commands(), lookups(), sqlNeedles(), markupNeedles())
}

// traversals are ways out of the document root and files that only someone who
// has got out would ask for. One "../" is none: links are written like that.
func traversals() []needle {
	return join(
		list(hasWayOut, anywhere,
			"../../", "..\\..\\", "..//..//", "....//", "..../\\", "/.//..", "..;/", ".\\./.\\./", ".\\\\./.\\\\./", "..\xc0\xaf", "..\xc1\x9c", "..%u2215", "..%u2216", "..%c0%af",
			"/../etc/", "/../web-inf", "/../windows/", "/../winnt/", "php://filter", "php://input", "phar://", "expect://", "zip://", "file:///etc/", "file:///proc/", "file:///var/", "file:///c:/windows", "file:/c:/", "file:/boot.ini",
			"/proc/self/", "/proc/version", "/proc/cmdline", "/var/log/apache", "/var/log/httpd", "/var/log/nginx", "/var/log/auth.log", "/var/log/access", "/var/log/error",
			"/var/www/logs/", "/apache/logs/", "/apache2/logs/", "/etc/httpd/", "/etc/apache2/", "/etc/nginx/nginx.conf", "/etc/apache/", "pure-ftpd.conf", "pureftpd.p",
			"c:\\windows\\", "c:/windows/", "c:\\winnt\\", "c:\\boot.ini", "c:/boot.ini", "\\inetpub\\wwwroot\\", "/inetpub/wwwroot/",
		),
		list(hasWayOut, word,
			"etc/passwd", "etc\\passwd", "etc/shadow", "etc/hosts", "etc/group", "etc/issue", "etc/sudoers", "etc/crontab", "etc/my.cnf", "etc/php.ini", "etc/ssh/sshd_config",
			"win.ini", "boot.ini", "system32/drivers/etc/hosts", "system32\\drivers\\etc\\hosts", "web-inf/web.xml", "web-inf\\web.xml", "global.asa",
		),
	)
}

// commands are code for the server: shell, PHP, Java, templates.
func commands() []needle {
	return join(
		list(hasCommand, anywhere,
			";cat /", "|cat /", "`cat /", ";cat${ifs}", "|cat${ifs}", "${ifs}", "$(cat ", ";wget http", "|wget http", "`wget ", "$(wget ", "&&wget ", "; wget ", "| wget ",
			";curl http", "|curl http", "`curl ", "$(curl ", "&&curl ", "; curl ", "| curl ", "cd /tmp;", "cd+/tmp", "chmod 777 ", "chmod +x ", "/bin/sh", "/bin/bash", "/dev/tcp/",
			"|nslookup ", ";nslookup ", "`nslookup ", "$(nslookup ", "|ping -", ";ping -", "&ping -", "`ping -", "$(sleep ", "`sleep ", ";sleep ", "|sleep ", "|whoami", ";whoami", "`whoami`",
			"$(whoami", "&whoami", "|id|", ";id;", "`id`", "$(id)", "|uname -", ";uname -", "cmd.exe", "cmd /c ", "powershell -", "powershell.exe", "certutil -urlcache",
			"<?php system", "<?php @eval", "<?php eval", "<?php exec", "<?php passthru", "<?php phpinfo", "<?php die(", "<?php print(", "<?php echo md5(", "<?php echo shell_exec", "eval(base64_decode", "base64_decode(", "assert($_", "system($_", "$_get[", "$_post[", "$_request[", "passthru(", "shell_exec(", "proc_open(", "popen(",
			"call_user_func_array", "allow_url_include", "auto_prepend_file", "auto_append_file", "disable_functions=", "invokefunction&function", "php://input",
			"java.lang.runtime", "java.lang.processbuilder", "getruntime()", "t(java.lang", "@java.lang", "#_memberaccess", "#context[", "@ognl.", "class.module.classloader", "classloader.resources.context",
			"${t(", "#{t(", "freemarker.template.utility", "__import__('os')", "__import__(\"os\")", "os.popen(", "__class__.__mro__", "__subclasses__()", "__globals__", "{{config.items()", "{{config.__class__",
			"{{7*7}}", "{{7*'7'}}", "${7*7}", "#{7*7}", "<%= 7*7", "{{self._", "{{''.__class__", "{{request.application.__", "script:javascript:java.lang", "script:groovy:",
			"process.mainmodule.require", "child_process", "!!python/object", "!!javax.script", "o:8:\"stdclass\"", "ro0abxnyab", "<!entity ", "xi:include",
		),
		list(hasCommand, word, "||id", "&&id", "system('", "system(\"", "exec('", "exec(\""),
	)
}

// lookups reach into the log or the environment of whoever handles the text:
// JNDI and its disguises, shell functions.
func lookups() []needle {
	return list(hasLookup, anywhere,
		"${jndi:", "$%7bjndi:", "${${", "${lower:", "${upper:", "${::-", "${env:", "${sys:", "${date:'", "${main:", "${base64:", "${script:", "${dns:", "${url:", "${k8s:", "jndi:ldap:/", "jndi:rmi:/", "jndi:dns:/",
		"() { :", "() {:", "(){ :", "() { _;", "() { ignored",
	)
}

// sqlNeedles are proofs of SQL, and hints after which the text is read as SQL.
func sqlNeedles() []needle {
	return join(
		list(hasSQL, anywhere,
			"information_schema", "waitfor delay '", "waitfor delay \"", "into outfile '", "into outfile \"", "into dumpfile '", "into dumpfile \"", "xp_cmdshell", "sp_executesql", "sp_oacreate",
			"utl_http.request", "utl_inaddr.get_host", "dbms_pipe.receive_message", "dbms_lock.sleep", "dbms_xmlgen", "ctxsys.drithsx", "pg_sleep(", "pg_read_file(", "pg_ls_dir(", "lo_import(",
			"extractvalue(", "updatexml(", "load_file(", "group_concat(", "procedure analyse(", "aes_decrypt(", "sqlite_master", "master..sys", "sysobjects", "syscolumns", "mysql.user",
			"@@version", "@@datadir", "@@hostname", "unhex(hex(", "concat(0x", "char(0x", "name_const(", "json_keys((select", "floor(rand(", "rlike sleep(", "/*!50000", "/*!union", "having 1=1",
		),
		list(hintSQL, word,
			"union", "select", "or", "and", "xor", "not", "having", "where", "order by", "group by", "insert", "update", "delete", "drop", "exec", "execute", "declare", "shutdown",
			"sleep", "benchmark", "waitfor", "cast", "convert", "like", "rlike", "between", "limit", "concat", "char", "chr", "ascii", "substr", "substring", "null",
		),
		list(hintSQL, anywhere, "--", "/*", "'#", "' #", "\"#", "||", "&&", "';", "\";", "')", "\")"),
	)
}

// markupNeedles are hints after which the text is read as markup.
func markupNeedles() []needle {
	return list(hintMarkup, anywhere,
		"<", "javascript:", "vbscript:", "alert(", "alert`", "confirm(", "confirm`", "prompt(", "prompt`", "eval(", "document.", "window.", "string.fromcharcode",
		"\" on", "' on", "\"on", "'on", "\"\ton", "'\ton", "\"/on", "'/on", "\"\non", "'\non",
	)
}
