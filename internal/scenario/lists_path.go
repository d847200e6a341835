package scenario

import (
	"strings"

	"weir/internal/match"
	"weir/internal/payload"
)

// list makes needles of texts that all say the same.
func list(f uint64, e match.Edge, texts ...string) []match.Needle[uint64] {
	needles := make([]match.Needle[uint64], len(texts))
	for i, text := range texts {
		needles[i] = match.Needle[uint64]{Text: text, Flags: f, Edge: e}
	}
	return needles
}

func join(lists ...[]match.Needle[uint64]) []match.Needle[uint64] {
	var all []match.Needle[uint64]
	for _, l := range lists {
		all = append(all, l...)
	}
	return all
}

// pathNeedles are looked for in the decoded path, in lower case.
func pathNeedles() []match.Needle[uint64] {
	return join(restrictedPaths(), secretPaths(), backupPaths(), shellPaths(), adminPaths(), exploitPaths(), loginPaths(), apiPaths(), customaryPaths(), staticPaths(), list(isPackager, match.Anywhere, "/@v/", "/@latest"))
}

// secretPaths hold what no site means to serve, and what a request for can mean
// nothing else. Each begins at a slash, so that "/environment" is not "/.env".
func secretPaths() []match.Needle[uint64] {
	return join(
		list(pathSecret, match.WordEnd,
			// settings with passwords in them
			"/.env", "/env.local", "/env.production", "/.aws/credentials", "/.aws/config", "/.azure/credentials",
			"/.config/gcloud", "/.boto", "/.s3cfg", "/.netrc", "/.pgpass", "/.my.cnf", "/.npmrc", "/.pypirc", "/.yarnrc",
			"/.dockercfg", "/.docker/config.json", "/.dockerenv", "/.kube/config", "/.terraform", "/terraform.tfstate",
			"/terraform.tfvars", "/.htpasswd", "/.htaccess", "/.user.ini", "/web.config", "/appsettings.json",
			"/appsettings.production.json", "/application.properties", "/application.yml", "/application-prod.yml",
			"/config/database.yml", "/config/database.php", "/config/secrets.yml", "/config/master.key", "/local_settings.py",
			"/settings.local.php", "/localsettings.php", "/parameters.yml", "/docker-compose.yml", "/docker-compose.yaml",
			"/docker-compose.prod.yml", "/secrets.json", "/secrets.yml", "/credentials.json", "/service-account.json",
			"/serviceaccountkey.json", "/firebase-adminsdk.json", "/sftp-config.json", "/.vscode/sftp.json", "/.ftpconfig",
			"/filezilla.xml", "/sitemanager.xml", "/ws_ftp.ini", "/.remote-sync.json", "/.firebaserc", "/.mailrc", "/configuration.php-dist", "/wp-content/debug.log", "/deployment-config.json",
			// keys and what shells remember
			"/.ssh", "/id_rsa", "/id_dsa", "/id_ecdsa", "/id_ed25519", "/authorized_keys", "/known_hosts", "/.gnupg",
			"/server.key", "/private.key", "/privatekey.pem", "/private.pem", "/.bash_history", "/.zsh_history",
			"/.mysql_history", "/.psql_history", "/.python_history", "/.bashrc", "/.bash_profile", "/.zshrc",
			// the source
			"/.git/config", "/.git/head", "/.git/index", "/.git/logs", "/.git/refs", "/.git/objects", "/.gitconfig",
			"/.git-credentials", "/.svn/entries", "/.svn/wc.db", "/.hg/hgrc", "/.hg/store", "/.bzr/branch", "/cvs/entries",
			"/.idea/workspace.xml", "/.idea/datasources.xml", "/.vscode/settings.json", "/.ds_store", "/thumbs.db",
			"/web-inf/web.xml", "/meta-inf/context.xml",
			// what servers and frameworks tell about themselves
			"/phpinfo.php", "/phpinfo", "/server-status", "/server-info", "/actuator/env", "/actuator/heapdump",
			"/actuator/configprops", "/actuator/threaddump", "/heapdump", "/storage/logs/laravel.log", "/telescope/requests",
			"/debug/pprof", "/_profiler/phpinfo", "/elmah.axd", "/trace.axd",
		),
		list(pathSecret, match.AtEnd,
			// copies that editors and people leave of files with passwords
			"/wp-config.php~", "/wp-config.php.bak", "/wp-config.php.old", "/wp-config.php.save", "/wp-config.php.swp",
			"/.wp-config.php.swp", "/wp-config.php.txt", "/wp-config.php.orig", "/wp-config.bak", "/wp-config.txt", "/wp-config.old",
			"/config.php~", "/config.php.bak", "/config.php.old", "/config.php.save", "/config.php.swp", "/config.inc.php~",
			"/config.inc.php.bak", "/configuration.php~", "/configuration.php.bak", "/configuration.php.old", "/settings.php~",
			"/settings.php.bak", "/settings.py.bak", "/.git", "/.git/", "/.svn", "/.svn/", "/.hg", "/.hg/", "/web-inf/", "/info.php",
		),
	)
}

// restrictedPaths come from the OWASP core rule set. The list was made to be weighed
// with other evidence: some sites do serve some of these.
func restrictedPaths() []match.Needle[uint64] {
	var needles []match.Needle[uint64]
	for _, name := range payload.RestrictedFiles() {
		n := match.Needle[uint64]{Text: name, Flags: pathRestricted}
		if !strings.HasPrefix(name, "/") && !strings.HasPrefix(name, ".sql.") {
			n.Text = "/" + name
		}
		if last := name[len(name)-1]; last != '/' && last != '-' && last != '_' && last != '.' {
			n.Edge = match.WordEnd
		}
		needles = append(needles, n)
	}
	return needles
}

// backupPaths count only when they are answered like a page that is not there:
// sites do offer archives for download.
func backupPaths() []match.Needle[uint64] {
	var needles []match.Needle[uint64]
	for _, name := range []string{
		"backup", "backups", "bak", "site", "website", "web", "www", "wwwroot", "public_html", "htdocs", "html", "public", "db", "database",
		"dump", "mysql", "sql", "data", "users", "old", "full", "archive", "latest", "localhost", "src", "source", "app", "home", "wordpress", "wp",
	} {
		for _, ending := range []string{".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".rar", ".7z", ".gz", ".sql", ".sql.gz", ".sql.zip", ".bak"} {
			needles = append(needles, match.Needle[uint64]{Text: "/" + name + ending, Flags: pathBackup, Edge: match.AtEnd})
		}
	}
	return needles
}

// shellPaths are file names under which web shells are left and looked for.
func shellPaths() []match.Needle[uint64] {
	var needles []match.Needle[uint64]
	for _, name := range []string{
		"c99", "r57", "b374k", "wso", "wso2", "wso25", "wso112233", "alfa", "alfashell", "alfanew", "indoxploit", "idx", "marijuana",
		"gelay", "leafmailer", "priv8", "anonymousfox", "shell", "shell20211028", "shells", "webshell", "cmdshell", "phpshell",
		"cmd", "backdoor", "bypass", "bypass403", "filesman", "fm1", "0byte", "0x", "1337", "xleet", "xleet-shell", "doc-shell", "moduless", "ms-edit",
		"wp-blockup", "wp-conflg", "wp-ver", "wp-l0gin", "wp-22", "wp-sigunq", "wp-2019", "autoload_classmap", "atomlib", "lufix", "lock360",
		"simple-shell", "up1", "upfile", "adminfuns", "ws80", "ws81", "ws83", "wp-p2r3q9c8k4",
		"c100", "k2", "madspot", "sadrazam", "antichat", "locus7s", "gfs_sh", "dx", "caidao", "godzilla", "behinder", "tunnel.nosocket",
	} {
		needles = append(needles, match.Needle[uint64]{Text: "/" + name + ".php", Flags: pathShell, Edge: match.AtEnd})
	}
	for _, name := range []string{"cmdasp", "aspxspy", "aspxspy2014", "shell", "cmd", "devilzshell", "zehir", "indexer", "china", "chopper"} {
		needles = append(needles, match.Needle[uint64]{Text: "/" + name + ".asp", Flags: pathShell, Edge: match.AtEnd}, match.Needle[uint64]{Text: "/" + name + ".aspx", Flags: pathShell, Edge: match.AtEnd})
	}
	for _, name := range []string{"cmd", "shell", "jspspy", "cmdjsp", "jshell", "up_win32", "jsp-reverse"} {
		needles = append(needles, match.Needle[uint64]{Text: "/" + name + ".jsp", Flags: pathShell, Edge: match.AtEnd}, match.Needle[uint64]{Text: "/" + name + ".jspx", Flags: pathShell, Edge: match.AtEnd})
	}
	return needles
}

// adminPaths are interfaces of administrators. They count only when they are
// refused or missing: where they are not, people work with them.
func adminPaths() []match.Needle[uint64] {
	return list(pathAdmin, match.Word,
		"/phpmyadmin", "/pma", "/myadmin", "/mysqladmin", "/mysql-admin", "/phppgadmin", "/pgadmin", "/pgadmin4", "/adminer", "/adminer.php",
		"/dbadmin", "/sqladmin", "/sqlitemanager", "/phpldapadmin", "/sqlbuddy", "/administrator", "/admin", "/admin.php", "/admin.aspx",
		"/admincp", "/adm", "/wp-admin", "/bitrix/admin", "/typo3", "/umbraco", "/sitecore/login", "/user/admin", "/cms/admin", "/siteadmin",
		"/webadmin", "/controlpanel", "/cpanel", "/whm", "/plesk", "/webmin", "/ispconfig", "/vesta", "/directadmin", "/manager/html",
		"/host-manager", "/jmx-console", "/web-console", "/admin-console", "/jenkins", "/hudson", "/solr/admin", "/solr", "/kibana", "/grafana",
		"/prometheus", "/zabbix", "/nagios", "/cacti", "/portainer", "/rabbitmq", "/activemq", "/consul", "/druid/index.html", "/nacos", "/nexus",
		"/sonarqube", "/airflow", "/superset", "/metabase", "/jupyter", "/gitlab", "/gitea", "/hue", "/flower", "/telescope", "/horizon",
		"/_cat/indices", "/_cluster/health", "/_all_dbs", "/_utils", "/actuator", "/console", "/h2-console", "/owa", "/ecp", "/exchange",
		"/webmail", "/roundcube", "/squirrelmail", "/remote/login", "/vpn/index.html", "/sslvpn", "/logon.aspx", "/sap/admin", "/irj/portal",
		"/weblogic", "/console/login", "/ibm/console", "/invoker", "/system_console", "/global-protect", "/dana-na", "/+cscoe+", "/_vti_bin", "/telerik.web.ui.webresource.axd", "/sitecore", "/wsman", "/webui", "/jolokia", "/axis2", "/geoserver", "/elfinder", "/kcfinder", "/ckfinder", "/fckeditor", "/cfide/administrator", "/cgi-bin/webproc", "/setup.php", "/install.php", "/installer",
	)
}

// exploitPaths are asked for by those who exploit one hole in one product. Where
// the product is not, they are answered with a refusal, and that is what counts.
// What a client of such a product asks for in peace, perhaps of the wrong host or
// with an expired session, must not be here: one request is enough.
func exploitPaths() []match.Needle[uint64] {
	return list(pathExploit, match.Anywhere,
		"/vendor/phpunit/", "/phpunit/src/util/php/eval-stdin", "/eval-stdin.php", "/_ignition/execute-solution", "/boaform/admin", "/boaform/formlogin",
		"/gponform/diag_form", "/hnap1", "/cgi-bin/luci/;stok=", "/cgi-bin/nobody/", "/cgi-bin/supervisor/", "/cgi-bin/viewer/", "/goform/setmac",
		"/goform/formping", "/goform/webread/open", "/cgi-bin/mainfunction.cgi", "/cgi-bin/jarrewrite.sh", "/cgi-bin/kerbynet", "/cgi-bin/account_mgr.cgi",
		"/uapi-cgi/", "/backupmgt/localjob.php", "/picsdesc.xml", "/sdk/weblanguage", "/nmaplowercheck", "/cgi-bin/authlogin.cgi", "/mifs/aad/api", "/wp-content/themes/seotheme/", "/tmui/login.jsp/..;", "/mgmt/tm/util/bash", "/dana-na/../",
		"/dana-ws/namedusers", "/remote/fgt_lang", "/+cscoe+/../", "/+cscot+/", "/php/utils/createremoteappwebsession", "/php/ztp_gateway",
		"/autodiscover/autodiscover.json@", "/ecp/y.js", "/owa/auth/x.js", "/wls-wsat/", "/_async/asyncresponseservice", "/console/css/../",
		"/console/images/../", "/struts2-showcase", "/struts2-rest-showcase", "/functionrouter", "/hybridity/api/",
		"/ui/h5-vsan/rest/proxy", "/ui/vropspluginui/", "/sdk/../../", "/eam/vib", "/analytics/telemetry/ph/api", "/catalog-portal/ui/oauth",
		"/webtools/control/xmlrpc", "/webtools/control/programexport", "/server-api/..;", "/setup/setupadministrator.action", "/json/setup-restore.action",
		"/template/aui/text-inline.vm", "/service/extension/backup/mboximport", "/zimbraadmin/0mvzaehb", "/scripts/wpnbr.dll", "/vpn/../vpns/",
		"/vpns/portal/scripts/newbm.pl", "/vpns/cfg/smb.conf", "/nitro/v1/config/rsva", "/cgi-bin/php-cgi",
		"/cgi-bin/php4", "/cgi-bin/php5", "/php-cgi/php-cgi.exe", "/users/sign_in/..;",
		"/wp-content/plugins/wp-file-manager/lib/php/connector.minimal", "/wp-content/plugins/revslider/temp", "/wp-content/plugins/hellopress/",
		"/wp-content/plugins/wpcargo/includes/barcode", "/xmlpserver/servlet/adfresource", "/oa_html/bispgraph", "/ctcwebservice/ctcwebservicebean",
		"/seeyon/thirdpartycontroller", "/seeyon/htmlofficeservlet", "/general/login_code.php", "/weaver/bsh.servlet.bshservlet", "/nette.micro",
		"/mifs/.;/services", "/adfs/ls/../",
	)
}

// loginPaths are where credentials are sent to. What has more in its name than that
// ("/login-history", "/authenticate-your-posts") is a page about it.
func loginPaths() []match.Needle[uint64] {
	needles := join(
		list(pathLogin, match.WordEnd,
			"login", "logon", "signin", "sign-in", "sign_in", "log-in", "log_in", "/authenticate", "/user/verify", "/users/verify", "login_check",
			"logincheck", "login_submit", "loginsubmit", "login_process", "loginform", "loginpost", "login_post", "/credential", "/credentials", "/2fa", "/otp",
			"/mfa", "/totp", "-otp", "_otp", "verifyotp", "/passcode", "/two-factor", "/two_factor", "/twofactor", "verify-code", "verify_code", "verifycode", "j_security_check", "/saml", "/saml2", "/auth", "/session", "/sessions", "/sso",
		),
		list(pathToken, match.Anywhere, "/oauth", "/token", "/refresh"),
		list(pathLogin|pathLoginForm, match.AtEnd, "/administrator/index.php"), // Joomla
		list(pathWPLogin, match.WordEnd, "/wp-login.php"),
		list(pathXMLRPC, match.WordEnd, "/xmlrpc.php"),
		list(isAuthorQuery, match.Anywhere, "/wp-json/wp/v2/users/"),
	)
	for _, name := range []string{"login", "logon", "signin", "sign-in", "sign_in", "log-in", "log_in"} {
		for _, end := range []string{"", "/", ".php", ".aspx", ".asp", ".jsp", ".do", ".action", ".html"} {
			needles = append(needles, match.Needle[uint64]{Text: name + end, Flags: pathLoginForm, Edge: match.AtEnd})
		}
	}
	return needles
}

// customaryPaths are asked for by browsers, systems and crawlers of every site, whether
// it has them or not.
func customaryPaths() []match.Needle[uint64] {
	needles := list(pathCustomary, match.AtStart, "/.well-known/", "/apple-app-site-association", "/autodiscover/autodiscover.xml")
	for _, name := range []string{
		"/robots.txt", "/ads.txt", "/app-ads.txt", "/sellers.json", "/security.txt", "/humans.txt", "/llms.txt", "/llms-full.txt", "/sitemap.xml",
		"/sitemap_index.xml", "/sitemap-index.xml", "/sitemap.txt", "/sitemap.xml.gz", "/browserconfig.xml", "/manifest.json", "/site.webmanifest", "/crossdomain.xml", "/clientaccesspolicy.xml",
		"/wpad.dat", "/connecttest.txt", "/ncsi.txt", "/generate_204", "/gen_204", "/favicon", "/service-worker.js", "/sw.js", "/opensearch.xml", "/feed", "/feed/", "/rss", "/rss.xml",
		"/atom.xml", "/index.xml", "/feed.xml", "/amp", "/amp/", "/healthz", "/health", "/livez", "/readyz", "/ping", "/status",
	} {
		needles = append(needles, match.Needle[uint64]{Text: name, Flags: pathCustomary, Edge: match.Whole})
	}
	return needles
}

// apiPaths are called by programs, and many answer with the content type of a page.
func apiPaths() []match.Needle[uint64] {
	return join(
		list(pathAPI, match.Word, "/api", "/rest", "/rpc", "/graphql", "/ajax", "/json", "/wp-json", "/v1", "/v2", "/v3", "/v4", "/webhook", "/webhooks", "/feed", "/rss"),
		list(pathAPI, match.WordEnd, "/api.php", "/ajax.php", "/admin-ajax.php", "/rpc.php", "/rest.php"),
		list(pathHook, match.WordEnd, "/webhook", "/webhooks", "/hook", "/hooks", "/ipn"),
	)
}
