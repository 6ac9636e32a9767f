import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.concurrent.Executors;

/** The shop's prices: GET /price?item=tea. It knows nothing of telemetry. */
public class Pricing {
    private static final Map<String, Double> PRICES = Map.of("tea", 3.5, "cup", 7.9, "kettle", 24.0);

    public static void main(String[] arguments) throws IOException {
        int port = Integer.parseInt(System.getenv().getOrDefault("PORT", "8080"));
        var threads = Executors.newFixedThreadPool(4);
        var server = HttpServer.create(new InetSocketAddress(port), 0);
        server.setExecutor(threads);
        server.createContext("/healthz", exchange -> answer(exchange, 200, "text/plain", "ok\n"));
        server.createContext("/price", Pricing::price);
        server.start();
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            server.stop(0);
            threads.shutdown();
            System.out.println("pricing closed");
        }));
        System.out.printf("pricing listens on %d with at most %d MB%n", port, Runtime.getRuntime().maxMemory() >> 20);
    }

    private static void price(HttpExchange exchange) throws IOException {
        String query = exchange.getRequestURI().getQuery();
        String item = query == null ? "" : query.replaceFirst("^item=", "");
        Double price = PRICES.get(item);
        if (price == null) {
            answer(exchange, 404, "application/json", "{\"error\": \"no such item\"}");
        } else {
            answer(exchange, 200, "application/json", "{\"price\": " + price + "}");
        }
    }

    private static void answer(HttpExchange exchange, int status, String type, String text) throws IOException {
        byte[] body = text.getBytes(StandardCharsets.UTF_8);
        exchange.getResponseHeaders().set("content-type", type);
        exchange.sendResponseHeaders(status, body.length);
        try (var output = exchange.getResponseBody()) {
            output.write(body);
        }
    }
}
