#!/bin/sh
# Checks the code of a 村办 receipt (办件回执) without any program of 村办: with
# openssl 3 and what every Debian has (sh, awk, sed, cut, tr). The forms are in
# appendix-verify.md; this is one way to check them, not the only one.
#
#   sh verify-receipt.sh -k TERMINAL.pem [-c COUNTY.pem] [-n CASE] [FILE]
#
# FILE holds the code's text as a scanner gives it; without it standard input is
# read. Exit codes: 0 it holds, 1 something could not be done, 2 wrong command
# line, 4 the text is not whole, 5 no receipt or another version, 6 signed by
# another key, 7 what it says was not signed, 8 it is of another case.
set -eu
LC_ALL=C
export LC_ALL

end() { # end CODE WORDS
	echo "$2" >&2
	exit "$1"
}
usage() { end 2 "用法：sh verify-receipt.sh -k 终端公钥.pem [-c 县公钥.pem] [-n 办件编号] [文件]"; }

terminal= county= number=
while getopts k:c:n: o; do
	case $o in
	k) terminal=$OPTARG ;;
	c) county=$OPTARG ;;
	n) number=$OPTARG ;;
	*) usage ;;
	esac
done
shift $((OPTIND - 1))
[ -n "$terminal" ] && [ $# -le 1 ] || usage
openssl version | grep -q '^OpenSSL 3' || end 1 "要 OpenSSL 3。"
for key in "$terminal" ${county:+"$county"}; do
	openssl pkey -pubin -in "$key" -noout 2>/dev/null || end 1 "读不出公钥 $key。"
done
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# bytes turns hex digits on standard input into the bytes themselves.
bytes() {
	printf "$(awk '{
		for (i = 1; i < length($0); i += 2)
			printf "\\%03o", 16 * (index("0123456789abcdef", substr($0, i, 1)) - 1) + index("0123456789abcdef", substr($0, i + 1, 1)) - 1
	}')"
}
# sm3 is the digest of standard input, 64 hex digits.
sm3() { openssl dgst -sm3 -r | cut -c1-64; }
# node is the hash of two nodes: SM3(01 ‖ left ‖ right).
node() { echo "01$1$2" | bytes | sm3; }
# keyid KEY NAME is the id that a signature line of NAME has.
keyid() {
	{
		printf '%s\n\377cunban SM2-SM3 v1' "$2"
		openssl pkey -pubin -in "$1" -outform DER
	} | sm3 | cut -c1-8
}
# signed KEY SIGNATURE: is it this key's signature of the file text?
signed() {
	echo "$2" | bytes >"$tmp/sig"
	openssl pkeyutl -verify -pubin -inkey "$1" -rawin -digest sm3 -pkeyopt distid:1234567812345678 \
		-in "$tmp/text" -sigfile "$tmp/sig" >/dev/null 2>&1
}

# 1. The text: CUNBAN1: and base45.
{ cat ${1+"$1"} && echo; } | tr '\r' '\n' | sed -n '/[^ ]/{s/^ *//;s/ *$//;s/^QR-Code://;p;}' >"$tmp/code"
[ "$(wc -l <"$tmp/code")" -eq 1 ] || end 5 "要一行文字：回执右下角核验码里的文字。"
[ "$(wc -c <"$tmp/code")" -le 4297 ] || end 5 "这不是办件回执上的核验码。"
case $(cut -c1-8 <"$tmp/code") in
CUNBAN1:) ;;
CUNBAN?:) end 5 "这是另一版的回执码，本脚本不认识。" ;;
C | CU | CUN | CUNB | CUNBA | CUNBAN | CUNBAN1) end 4 "码里的文字不全，请重新扫一遍。" ;;
*) end 5 "这不是办件回执上的核验码。" ;;
esac
cut -c9- <"$tmp/code" | awk '{
	digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"
	for (i = 1; i <= length($0); i += 3) {
		g = substr($0, i, 3)
		v = 0
		for (k = length(g); k > 0; k--) {
			d = index(digits, substr(g, k, 1)) - 1
			if (d < 0) exit 1
			v = v * 45 + d
		}
		if (length(g) == 3 && v < 65536) printf "%04x", v
		else if (length(g) == 2 && v < 256) printf "%02x", v
		else exit 1
	}
	print ""
}' >"$tmp/payload" || end 4 "码里的文字不全或抄错了，请重新扫一遍。"

# 2. The check: the last four bytes begin the SM3 of the others.
sed 's/........$//' <"$tmp/payload" >"$tmp/body"
[ "$(bytes <"$tmp/body" | sm3 | cut -c1-8)" = "$(sed 's/.*\(........\)$/\1/' <"$tmp/payload")" ] ||
	end 4 "码里的文字不全或抄错了，请重新扫一遍。"

# 3. The parts: record, origin, size, hashes, signatures, each on its line.
cat >"$tmp/phrases" <<'PHRASES'
{"account":"
{"boot":"
","boot":"
","case":"
","demo":true,"device":"
","device":"
","demo":true,"event":"case.submit","fields":{"body":"
","event":"case.submit","fields":{"body":"
","catalogue":"
","confirmed":"true","files":"
","confirmed":"false","files":"
","key":"
","mode":"self","revision":"
","mode":"assisted","revision":"
","mode":"agent","revision":"
","mode":"visit","revision":"
","service":"
","verification":"unverified"},"mac":"
","verification":"verified_online"},"mac":"
","verification":"verified_by_staff"},"mac":"
","mono":
,"outcome":"ok","private":"
,"outcome":"ok","role":"resident","seq":
,"outcome":"ok","role":"staff","seq":
","role":"resident","seq":
","role":"staff","seq":
,"session":
,"time":"
Z","version":"
"}
PHRASES
awk -v phrases="$tmp/phrases" '
function value(s,   i, v) {
	for (i = 1; i <= length(s); i++) v = v * 16 + index("0123456789abcdef", substr(s, i, 1)) - 1
	return v
}
function take(n,   s) { # the next n bytes, in hex
	if (at + 2 * n - 1 > length(body)) bad()
	s = substr(body, at, 2 * n)
	at += 2 * n
	return s
}
function bad() { failed = 1; exit 1 }
function digits(s,   i, out) { # the hex of the hex digits s
	for (i = 1; i <= length(s); i++) out = out hex[substr(s, i, 1)]
	return out
}
function unpack(p,   i, c, n, s, out) {
	for (i = 1; i < length(p); i += 2) {
		c = value(substr(p, i, 2))
		if (c < 128) { out = out substr(p, i, 2); continue }
		if (c - 128 < count) { out = out phrase[c - 128]; continue }
		if (c >= 194 && c <= 224) n = c - 192
		else if (c == 240) n = 16
		else if (c == 255) n = 1
		else bad()
		s = substr(p, i + 2, 2 * n)
		if (length(s) != 2 * n) bad()
		i += 2 * n
		if (c == 255) out = out s
		else if (c == 240) out = out digits(substr(s, 1, 8)) "2d" digits(substr(s, 9, 4)) "2d" digits(substr(s, 13, 4)) "2d" digits(substr(s, 17, 4)) "2d" digits(substr(s, 21))
		else out = out digits(s)
	}
	return out
}
BEGIN {
	for (i = 32; i < 127; i++) hex[sprintf("%c", i)] = sprintf("%02x", i)
	while ((getline line < phrases) > 0) {
		s = ""
		for (i = 1; i <= length(line); i++) s = s hex[substr(line, i, 1)]
		phrase[count++] = s
	}
}
{
	body = $0
	at = 1
	record = unpack(take(value(take(2))))
	print "record", record
	print "origin", take(value(take(1)))
	size = value(take(8))
	if (size < 1 || size > 9007199254740991) bad()
	printf "size %.0f\n", size
	for (n = value(take(1)); n > 0; n--) print "hash", take(32)
	signs = value(take(1))
	if (signs < 1 || signs > 2) bad()
	for (n = signs; n > 0; n--) { id = take(4); print "sign", id, take(value(take(1))) }
	if (at != length(body) + 1) bad()
}
END { exit failed }' <"$tmp/body" >"$tmp/parts" || end 5 "这不是办件回执上的核验码。"
part() { awk -v name="$1" -v nth="$2" -v field="$3" '$1 == name && ++n == nth { print $field }' <"$tmp/parts"; }

part record 1 2 | bytes >"$tmp/record"
origin=$(part origin 1 2 | bytes)
size=$(part size 1 2)
case $origin in '' | cunban/county | *[!!-~]*) end 5 "这不是办件回执上的核验码。" ;; esac

# 4. What the record says. Its members stand in a fixed order, so that none can
# be taken for another.
text='"\([^"\\]*\)"'
case_=$(sed -n 's/^{\("account":"[^"\\]*",\)\{0,1\}\("boot":"[^"\\]*",\)\{0,1\}"case":'"$text"',.*/\3/p' <"$tmp/record")
index=$(sed -n 's/.*,"seq":\([0-9]\{1,18\}\)[,}].*/\1/p' <"$tmp/record")
service=$(sed -n 's/.*[{,]"service":'"$text"'[,}].*/\1/p' <"$tmp/record")
revision=$(sed -n 's/.*[{,]"revision":'"$text"'[,}].*/\1/p' <"$tmp/record")
time=$(sed -n 's/.*,"time":'"$text"'.*/\1/p' <"$tmp/record")
grep -q ',"event":"case.submit",' "$tmp/record" && [ -n "$case_" ] && [ -n "$index" ] && [ "$index" -lt "$size" ] ||
	end 5 "这不是办件回执上的核验码。"

# 5. The key must be the one that signed.
[ "$(part sign 1 2)" = "$(keyid "$terminal" "$origin")" ] || end 6 "回执是日志 $origin 签的，不是这个公钥。请向县里要这台终端这个日志的公钥。"

# 6. From the leaf to the root (RFC 9162 §2.1.3.2).
root=$({
	printf '\000'
	cat "$tmp/record"
} | sm3)
fn=$index sn=$((size - 1))
for p in $(sed -n 's/^hash //p' <"$tmp/parts"); do
	[ "$sn" -gt 0 ] || end 7 "核对不过：证明和记录对不上。请保留这张纸，马上报告县里。"
	if [ $((fn % 2)) -eq 1 ] || [ "$fn" -eq "$sn" ]; then
		root=$(node "$p" "$root")
		while [ $((fn % 2)) -eq 0 ] && [ "$fn" -ne 0 ]; do fn=$((fn / 2)) sn=$((sn / 2)); done
	else
		root=$(node "$root" "$p")
	fi
	fn=$((fn / 2)) sn=$((sn / 2))
done
[ "$sn" -eq 0 ] || end 7 "核对不过：证明和记录对不上。请保留这张纸，马上报告县里。"

# 7. The signatures are over origin, size and root.
printf '%s\n%s\n%s\n' "$origin" "$size" "$(echo "$root" | bytes | openssl base64 -A)" >"$tmp/text"
signed "$terminal" "$(part sign 1 3)" || end 7 "核对不过：内容和签名对不上，被人改过。请保留这张纸，马上报告县里。"
counter="这张回执里没有县里的会签"
if [ -n "$(part sign 2 2)" ]; then
	counter="有县里的会签，没有给县里的公钥，未核对"
	if [ -n "$county" ]; then
		[ "$(part sign 2 2)" = "$(keyid "$county" cunban/county)" ] || end 6 "县里的会签不是用这个公钥签的。"
		signed "$county" "$(part sign 2 3)" || end 7 "核对不过：县里的会签不对。请保留这张纸，马上报告县里。"
		counter="县里已会签，签名正确"
	fi
fi
if [ -n "$number" ] && [ "$(printf %s "$number" | tr 'A-Z' 'a-z' | tr -d ' ')" != "$case_" ]; then
	end 8 "码是真的，但证明的是另一件办件 $case_。请保留这张纸，报告县里。"
fi

echo "核对无误：这件办件已记进这台终端的操作日志。"
echo "办件编号  $case_"
echo "办理事项  $service，第 $revision 次提交"
echo "提交时间  $time（世界时，加 8 小时是北京时间）"
echo "日志位置  第 $index 号记录；签名时日志共 $size 条"
echo "日志名称  $origin"
echo "日志树根  $root"
echo "县里会签  $counter"
