// Command totp prints the one-time code of a secret for the demo, which has no authenticator app: now, or
// so many seconds from now.
package main

import (
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/pquerna/otp/totp"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: totp SECRET SECONDS")
		os.Exit(2)
	}
	seconds, err := strconv.Atoi(os.Args[2])
	if err == nil {
		var code string
		if code, err = totp.GenerateCode(os.Args[1], time.Now().Add(time.Duration(seconds)*time.Second)); err == nil {
			fmt.Println(code)
			return
		}
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
