public class Agent {
    public static void premain(String words) {}
}
