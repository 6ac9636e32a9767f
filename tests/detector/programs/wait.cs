using System.Threading;

public class Wait {
    public static void Main() {
        new ManualResetEvent(false).WaitOne();
    }
}
