import com.sun.net.httpserver.HttpServer;
import java.net.InetSocketAddress;

public class App {
    public static void main(String[] words) throws Exception {
        HttpServer.create(new InetSocketAddress("127.0.0.1", 8080), 0).start();
        Thread.currentThread().join();
    }
}
