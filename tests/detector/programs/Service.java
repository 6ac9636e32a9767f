import com.sun.net.httpserver.HttpServer;
import java.net.InetSocketAddress;
import org.apache.commons.daemon.Daemon;
import org.apache.commons.daemon.DaemonContext;

public class Service implements Daemon {
    private HttpServer server;

    public void init(DaemonContext context) throws Exception {
        server = HttpServer.create(new InetSocketAddress("127.0.0.1", 8080), 0);
    }

    public void start() {
        server.start();
    }

    public void stop() {}

    public void destroy() {}
}
