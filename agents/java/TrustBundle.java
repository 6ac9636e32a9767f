import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.security.KeyStore;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;

/** Turns a bundle of PEM certificates into a trust store, for Maven in an image build: TrustBundle.java BUNDLE STORE. */
public class TrustBundle {
    public static void main(String[] arguments) throws Exception {
        KeyStore store = KeyStore.getInstance("PKCS12");
        store.load(null, null);
        try (var bundle = new FileInputStream(arguments[0]); var output = new FileOutputStream(arguments[1])) {
            for (Certificate certificate : CertificateFactory.getInstance("X.509").generateCertificates(bundle)) {
                store.setCertificateEntry("authority-" + store.size(), certificate);
            }
            store.store(output, "changeit".toCharArray());
        }
    }
}
