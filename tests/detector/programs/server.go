// Answers HTTP; with the argument `run`, starts another program and waits for it.
package main

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
)

func main() {
	if len(os.Args) > 2 && os.Args[1] == "run" {
		c := exec.Command(os.Args[2], os.Args[3:]...)
		if err := c.Run(); err != nil {
			fmt.Println(err)
		}
		return
	}
	http.ListenAndServe("127.0.0.1:8080", http.NotFoundHandler())
}
