/* Answers HTTP on the port it is given, one connection after the other. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

int main(int count, char **words) {
    struct sockaddr_in here;
    int listening = socket(AF_INET, SOCK_STREAM, 0);
    memset(&here, 0, sizeof here);
    here.sin_family = AF_INET;
    here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    here.sin_port = htons(count > 1 ? atoi(words[1]) : 0);
    if (bind(listening, (struct sockaddr *)&here, sizeof here) || listen(listening, 5)) return 1;
    for (;;) {
        char request[1024];
        int connection = accept(listening, 0, 0);
        if (connection < 0 || read(connection, request, sizeof request) < 0) return 2;
        if (write(connection, answer, sizeof answer - 1) < 0) return 3;
        close(connection);
    }
}
