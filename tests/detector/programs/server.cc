// Answers HTTP on the port it is given; uses strings, exceptions, streams and virtual functions of C++.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <iostream>
#include <map>
#include <stdexcept>
#include <string>

struct Answer {
    virtual std::string text() const = 0;
    virtual ~Answer() = default;
};

struct Plain : Answer {
    std::string text() const override { return "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"; }
};

int main(int count, char **words) {
    std::map<std::string, int> seen;
    sockaddr_in here{};
    int listening = socket(AF_INET, SOCK_STREAM, 0);
    here.sin_family = AF_INET;
    here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    try {
        here.sin_port = htons(std::stoi(count > 1 ? words[1] : "0"));
        if (bind(listening, reinterpret_cast<sockaddr *>(&here), sizeof here)) throw std::runtime_error("bind");
    } catch (const std::exception &error) {
        std::cerr << error.what() << "\n";
        return 1;
    }
    listen(listening, 5);
    const Answer *answer = new Plain;
    for (;;) {
        char request[1024] = {};
        int connection = accept(listening, nullptr, nullptr);
        if (read(connection, request, sizeof request - 1) < 0) return 2;
        seen[request]++;
        const std::string text = answer->text();
        if (write(connection, text.data(), text.size()) < 0) return 3;
        close(connection);
    }
}
