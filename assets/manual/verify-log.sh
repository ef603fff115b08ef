#!/bin/sh
# Checks an operation log that a terminal of 村办 exported (kioskctl log export)
# without any program of 村办: with openssl 3 and what every Debian has (sh,
# awk, sed, cut, xargs). The form is in appendix-verify.md; this is one way to
# check it, not the only one.
#
#   sh verify-log.sh -k TERMINAL.pem [-c COUNTY.pem] FILE
#
# Exit codes: 0 the log is whole, 1 something could not be done, 2 wrong command
# line, 5 no exported log, 6 signed by another key, 7 the log is not whole.
set -eu
LC_ALL=C
export LC_ALL

end() { # end CODE WORDS
	echo "$2" >&2
	exit "$1"
}
usage() { end 2 "用法：sh verify-log.sh -k 终端公钥.pem [-c 县公钥.pem] 导出的日志"; }

terminal= county=
while getopts k:c: o; do
	case $o in
	k) terminal=$OPTARG ;;
	c) county=$OPTARG ;;
	*) usage ;;
	esac
done
shift $((OPTIND - 1))
[ -n "$terminal" ] && [ $# -eq 1 ] || usage
log=$1
[ -r "$log" ] || end 1 "读不出 $log。"
openssl version | grep -q '^OpenSSL 3' || end 1 "要 OpenSSL 3。"
for key in "$terminal" ${county:+"$county"}; do
	openssl pkey -pubin -in "$key" -noout 2>/dev/null || end 1 "读不出公钥 $key。"
done
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
bad() { end 7 "日志不完整：$1。请保留这个文件，马上报告县里。"; }

# octal turns each hex pair of the second field into a printf escape.
octal='{
	s = ""
	for (i = 1; i < length($2); i += 2)
		s = s sprintf("\\%03o", 16 * (index("0123456789abcdef", substr($2, i, 1)) - 1) + index("0123456789abcdef", substr($2, i + 1, 1)) - 1)
	print $1, s
}'
# keyid KEY NAME is the id that a signature line of NAME has.
keyid() {
	{
		printf '%s\n\377cunban SM2-SM3 v1' "$2"
		openssl pkey -pubin -in "$1" -outform DER
	} | openssl dgst -sm3 -r | cut -c1-8
}
# digests prints "NAME DIGEST" for every file of the folder in/, and empties it:
# thousands of files for each openssl.
digests() {
	(cd "$tmp/in" && find . -type f | xargs openssl dgst -sm3 -r) | sed 's|^\(.\{64\}\) \*\./\(.*\)$|\2 \1|'
	rm -rf "$tmp/in"
	mkdir "$tmp/in"
}
mkdir "$tmp/in"

# 1. The frame: head, known lines, totals, and the digest of it all.
version=$(sed -n '1s/^cunban operation log export \([12]\)$/\1/p' "$log")
[ -n "$version" ] || end 5 "这不是村办导出的操作日志。"
[ "$(tail -n 1 "$log")" = "sm3 $(sed '$d' "$log" | openssl dgst -sm3 -r | cut -c1-64)" ] || bad "文件的摘要不对，文件被截断或改过"
head=$(sed -n '2,6p' "$log" | cut -d' ' -f1 | tr '\n' ' ')
[ "$head" = "origin software made first left " ] || end 5 "这不是村办导出的操作日志。"
# Version 2 has the seeds of the MAC keys next, made out to the county.
sed -n '7,/^$/p' "$log" | sed '$d' >"$tmp/seeds"
seeds=$(wc -l <"$tmp/seeds")
if [ "$version" = 1 ] && [ "$seeds" -gt 0 ] || grep -qv '^seed [0-9][0-9]* [0-9a-f]* [A-Za-z0-9+/]*=\{0,2\}$' "$tmp/seeds"; then
	end 5 "这不是村办导出的操作日志。"
fi
origin=$(sed -n '2s/^origin //p' "$log")
first=$(sed -n '5s/^first //p' "$log")
left=$(sed -n '6s/^left //p' "$log")
case $origin in '' | cunban/county | *[!a-z0-9/-]*) end 5 "这不是村办导出的操作日志。" ;; esac
case $first in '' | *[!0-9]*) end 5 "这不是村办导出的操作日志。" ;; esac
sed "1,$((7 + seeds))d" "$log" >"$tmp/body"
if grep -qv -e '^R [0-9a-f]\{64\} {.*}$' -e '^N$' -e '^N .' -e '^E [0-9]*$' -e '^total ' -e '^sm3 ' "$tmp/body"; then
	end 5 "这不是村办导出的操作日志。"
fi

# 2. Records: without gaps, and each the one whose leaf hash stands beside it:
# SM3(00 ‖ record).
sed -n 's/^R //p' "$tmp/body" >"$tmp/records"
records=$(wc -l <"$tmp/records")
size=$((first + records))
[ "$(tail -n 2 "$log" | head -n 1)" = "total $records $(grep -c '^E' "$tmp/body" || :)" ] || bad "记录或检查点的数目不对"
sed 's/.*,"seq":\([0-9]*\)[,}].*/\1/' "$tmp/records" | awk -v n="$first" '$0 "" != n "" { print n; exit } { n++ }' >"$tmp/gap"
[ ! -s "$tmp/gap" ] || bad "第 $(cat "$tmp/gap") 号记录缺失、重复或换位"
n=$first
while IFS= read -r line; do
	printf '\000%s' "${line#* }" >"$tmp/in/$n"
	n=$((n + 1))
done <"$tmp/records"
digests | sort -n >"$tmp/leaves"
cut -c1-64 "$tmp/records" | awk -v n="$first" '{ print n++, $0 }' | cmp -s - "$tmp/leaves" || {
	n=$(cut -c1-64 "$tmp/records" | awk -v n="$first" '{ print n++, $0 }' | diff - "$tmp/leaves" | sed -n 's/^< \([0-9]*\) .*/\1/p' | head -n 1)
	bad "第 $n 号记录的内容被改过"
}

# Each seed is the one that its record tells of: SM3 of the envelope.
if [ "$version" != 1 ]; then
	sed -n 's/.*"event":"log.seed","fields":{"envelope":"\([0-9a-f]*\)".*,"seq":\([0-9]*\)[,}].*/\2 \1/p' "$tmp/records" >"$tmp/told"
	while read -r n digest; do
		[ "$(sed -n "s/^seed $n [0-9a-f]* //p" "$tmp/seeds" | openssl base64 -d -A | openssl dgst -sm3 -r | cut -c1-64)" = "$digest" ] ||
			bad "第 $n 号记录说到的密钥信封不见了或被换过"
	done <"$tmp/told"
fi

# 3. The tree: level 0 are the leaves; a node is SM3(01 ‖ left ‖ right). Of what
# was pruned only the roots of its perfect subtrees are left, one for each bit
# of its size.
: >"$tmp/pruned"
if [ "$first" -gt 0 ]; then
	echo "$left" | tr ',' '\n' | awk -v size="$first" '
	length($0) != 64 || $0 ~ /[^0-9a-f]/ { exit 1 }
	{ hash[++n] = $0 }
	END {
		for (s = size; s > 0; s = int(s / 2)) { if (s % 2) want++; top++ }
		if (n != want) exit 1
		for (level = top - 1; level >= 0; level--) {
			whole = int(size / 2 ^ level)
			if (whole % 2) print level, whole - 1, hash[++k]
		}
	}' >"$tmp/pruned" || end 5 "这不是村办导出的操作日志。"
elif [ "$left" != - ]; then
	end 5 "这不是村办导出的操作日志。"
fi
level=0
: >"$tmp/nodes"
sed -n 's/^0 //p' "$tmp/pruned" | cat - "$tmp/leaves" >"$tmp/level"
while [ -s "$tmp/level" ] || [ $((size >> level)) -gt 0 ]; do
	sed "s/^/$level /" "$tmp/level" >>"$tmp/nodes"
	awk '{ hash[$1] = $2; at[++n] = $1 } END { for (i = 1; i <= n; i++) if (at[i] % 2 == 0 && (at[i] + 1) in hash) printf "%.0f 01%s%s\n", at[i] / 2, hash[at[i]], hash[at[i] + 1] }' "$tmp/level" |
		awk "$octal" | while read -r n s; do printf "$s" >"$tmp/in/$n"; done
	level=$((level + 1))
	{
		sed -n "s/^$level //p" "$tmp/pruned"
		[ -z "$(ls "$tmp/in")" ] || digests
	} | sort -n >"$tmp/level"
done

# 4. Checkpoints: for each the roots of the perfect subtrees, the last first; one
# after the other they give the root.
awk -v first="$first" -v dir="$tmp" '
/^R/ { size++ }
/^N/ { note = note substr($0, 3) "\n" }
/^E/ {
	n++
	if ($2 != first + size) { print n > (dir "/place"); exit }
	printf "%s", note > (dir "/note." n)
	close(dir "/note." n)
	print n, $2
	note = ""
}' "$tmp/body" >"$tmp/checkpoints"
[ ! -s "$tmp/place" ] || bad "第 $(cat "$tmp/place") 个检查点的位置不对"
[ -s "$tmp/checkpoints" ] && [ "$(tail -n 1 "$tmp/checkpoints" | cut -d' ' -f2)" = "$size" ] || bad "末尾的记录没有检查点证明"
# None of those that the records tell of may be missing.
sed -n 's/.*"event":"log.checkpoint","fields":{"root":"[0-9a-f]*","size":"\([0-9]*\)"},.*"outcome":"ok",.*/\1/p' "$tmp/records" |
	awk -v first="$first" 'NR == FNR { there[$2]; next } $1 + 0 >= first + 0 && !($1 in there) { print $1; exit }' "$tmp/checkpoints" - >"$tmp/missing"
[ ! -s "$tmp/missing" ] || bad "共 $(cat "$tmp/missing") 条时签的检查点不见了"
awk 'NR == FNR { hash[$1, $2] = $3; next }
{
	line = $1
	for (level = 0; 2 ^ level <= $2; level++) {
		whole = int($2 / 2 ^ level)
		if (whole % 2) line = line " " hash[level, whole - 1]
	}
	print line
}' "$tmp/nodes" "$tmp/checkpoints" >"$tmp/folds"
: >"$tmp/roots"
while [ -s "$tmp/folds" ]; do
	awk 'NF == 2' "$tmp/folds" >>"$tmp/roots"
	awk 'NF > 2 { print $1, "01" $3 $2 }' "$tmp/folds" | awk "$octal" | while read -r n s; do printf "$s" >"$tmp/in/$n"; done
	[ -n "$(ls "$tmp/in")" ] || break
	digests | awk 'NR == FNR { h[$1] = $2; next } NF > 2 { $2 = h[$1]; $3 = ""; print }' - "$tmp/folds" >"$tmp/next"
	mv "$tmp/next" "$tmp/folds"
done

# 5. Each note says this root, and is signed.
own=$(keyid "$terminal" "$origin") theirs=
[ -z "$county" ] || theirs=$(keyid "$county" cunban/county)
# signed KEY BASE64: key id and SM2 signature of the file text.
signed() {
	echo "$2" | openssl base64 -d -A | tail -c +5 >"$tmp/sig"
	openssl pkeyutl -verify -pubin -inkey "$1" -rawin -digest sm3 -pkeyopt distid:1234567812345678 \
		-in "$tmp/text" -sigfile "$tmp/sig" >/dev/null 2>&1
}
# id BASE64: its first four bytes in hex.
id() { echo "$1" | openssl base64 -d -A | head -c 4 | od -An -tx1 | tr -d ' \n'; }
countersigned=-1 place=$first
while read -r n at; do
	root=$(sed -n "s/^$n //p" "$tmp/roots")
	root64=$(printf "$(echo "x $root" | awk "$octal" | cut -c3-)" | openssl base64 -A)
	printf '%s\n%s\n%s\n' "$origin" "$at" "$root64" >"$tmp/text"
	sed '/^$/,$d' "$tmp/note.$n" | cmp -s - "$tmp/text" || bad "记录和第 $n 个检查点（共 $at 条）对不上，问题在第 $place 号到第 $((at - 1)) 号记录之间，或检查点不是这份日志的"
	sed '1,/^$/d' "$tmp/note.$n" | grep -qv '^— [!-~]* [A-Za-z0-9+/]*=\{0,2\}$' && bad "第 $n 个检查点（共 $at 条）的签名行不对"
	line=$(sed -n "s|^— $origin ||p" "$tmp/note.$n" | head -n 1)
	[ "$(id "$line")" = "$own" ] || end 6 "第 $n 个检查点不是用这个公钥签的。请向县里要这台终端的公钥。"
	signed "$terminal" "$line" || bad "第 $n 个检查点（共 $at 条）的签名不对"
	line=$(sed -n "s|^— cunban/county ||p" "$tmp/note.$n" | head -n 1)
	if [ -n "$line" ] && [ -n "$county" ]; then
		[ "$(id "$line")" = "$theirs" ] || end 6 "第 $n 个检查点的会签不是用这个县公钥签的。"
		signed "$county" "$line" || bad "第 $n 个检查点（共 $at 条）的县里会签不对"
		countersigned=$at
	fi
	place=$at
done <"$tmp/checkpoints"
if [ "$first" -gt 0 ] && [ -n "$county" ] && [ "$countersigned" -lt "$first" ]; then
	bad "第 $first 号以前的记录没有县里会签就删了"
fi

echo "日志完整：$records 条记录都对得上，$(wc -l <"$tmp/checkpoints") 个检查点的签名都对。"
echo "日志名称  $origin"
echo "记录      第 $first 号到第 $((size - 1)) 号"
[ -z "$county" ] || [ "$countersigned" -lt 0 ] || echo "县里会签  到第 $countersigned 条"
[ -n "$county" ] || echo "县里会签  没有给县里的公钥，未核对"
