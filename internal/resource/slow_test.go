package resource_test
import ("testing";"strings";"time";"fmt";"sallyport/internal/resource")
func TestSlow(t *testing.T){
 n:=1<<20
 for name,s:=range map[string]string{
  "long plain": "a: "+strings.Repeat("x",n-10),
  "long dq": `a: "`+strings.Repeat(`\n`,n/2-10)+`"`,
  "lit": "a: |\n"+strings.Repeat("  x\n",n/4-10),
  "fold": "a: >\n"+strings.Repeat("  x\n",n/4-10),
  "multi plain": "a:\n"+strings.Repeat("  x\n",n/4-10),
  "keys": func()string{var b strings.Builder; for i:=0;b.Len()<n-20;i++{fmt.Fprintf(&b,"k%d: v\n",i)};return b.String()}(),
  "docs": strings.Repeat("---\n",n/4-1),
  "docs2": strings.Repeat("a\n---\n",n/6-1),
  "comments": strings.Repeat("#\n",n/2-1),
  "blank": strings.Repeat("\n",n-1),
  "spaces": strings.Repeat(" ",n-1),
  "colons": strings.Repeat(":",n-1),
  "colons2": strings.Repeat(": ",n/2-1),
  "flowlist": "["+strings.Repeat("a,",n/2-5)+"]",
  "commas": "["+strings.Repeat(",",n-5)+"]",
  "flatlist": strings.Repeat("- a\n",n/4-1),
  "anchors": "["+strings.Repeat("&a b,",n/5-5)+"]",
  "aliases": "- &a x\n"+strings.Repeat("- *a\n",n/5-5),
  "pct": strings.Repeat("%",n-1),
  "pct2": strings.Repeat("%a\n",n/3-1),
  "quotes": strings.Repeat("'",n-1),
  "bang": strings.Repeat("!",n-1),
  "pipe": strings.Repeat("|\n",n/2-1),
  "pipes": "a: "+strings.Repeat("|",n-10),
  "brackets": strings.Repeat("[]",n/2-1),
  "close": strings.Repeat("]",n-1),
  "closeb": strings.Repeat("}",n-1),
  "qkeys": strings.Repeat("\"a\": \"b\"\n",n/9-1),
  "nl in flow": "["+strings.Repeat("a\n",n/2-5)+"]",
  "tabs": strings.Repeat("\t",n-1),
  "cr": strings.Repeat("\r",n-1),
  "qmark": strings.Repeat("? a\n",n/4-1),
  "trail": strings.Repeat("a: |\n",n/5-1),
  "dots": strings.Repeat("...\n",n/4-1),
 } {
  st:=time.Now(); _,err:=resource.ParseYAML([]byte(s)); d:=time.Since(st)
  m:=fmt.Sprint(err); if len(m)>100{m=m[:100]}
  if d>700*time.Millisecond {fmt.Println(name,d,m)}
 }
}
