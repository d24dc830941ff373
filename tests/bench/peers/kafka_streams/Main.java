import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.time.Duration;
import java.util.Properties;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.TimeWindows;

/** Counts records by key (their organization) and minute of record time, without looking into their JSON. */
public class Main {
    public static void main(String[] words) throws Exception {
        long count = Long.parseLong(words[2]);
        AtomicLong seen = new AtomicLong();
        long[] began = new long[2];
        StreamsBuilder builder = new StreamsBuilder();
        builder.stream(words[1], Consumed.with(Serdes.String(), Serdes.ByteArray()))
            .peek((key, value) -> note(seen.incrementAndGet(), count, began))
            .groupByKey()
            .windowedBy(TimeWindows.ofSizeWithNoGrace(Duration.ofMinutes(1)))
            .count();
        Properties settings = new Properties();
        settings.put(StreamsConfig.APPLICATION_ID_CONFIG, "bench-streams-" + System.nanoTime());
        settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, words[0]);
        settings.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, 2);
        settings.put(StreamsConfig.STATE_DIR_CONFIG, Files.createTempDirectory("streams").toString());
        settings.put(StreamsConfig.DEFAULT_KEY_SERDE_CLASS_CONFIG, Serdes.StringSerde.class);
        settings.put("auto.offset.reset", "earliest");
        new KafkaStreams(builder.build(), settings).start();
    }

    private static void note(long seen, long count, long[] began) {
        if (seen == 1) {
            began[0] = System.nanoTime();
            began[1] = cpu();
        }
        if (seen == count) {
            double seconds = (System.nanoTime() - began[0]) / 1e9;
            double used = (cpu() - began[1]) / 1e3;
            System.out.println("{\"rate\": " + count / seconds + ", \"cpu_us\": " + used / count + "}");
            System.out.flush();
            Runtime.getRuntime().halt(0);
        }
    }

    private static long cpu() {
        return ((com.sun.management.OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean()).getProcessCpuTime();
    }
}
