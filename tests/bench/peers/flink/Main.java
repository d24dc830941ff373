import java.lang.management.ManagementFactory;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.table.api.EnvironmentSettings;
import org.apache.flink.table.api.TableEnvironment;

/** Flink SQL in one process with two slots: the whole topic, counted and summed by organization and minute, to nowhere. */
public class Main {
    public static void main(String[] words) throws Exception {
        Configuration settings = new Configuration();
        settings.setString("parallelism.default", "2");
        settings.setString("taskmanager.numberOfTaskSlots", "2");
        settings.setString("taskmanager.memory.network.min", "64mb");
        settings.setString("taskmanager.memory.network.max", "64mb");
        settings.setString("taskmanager.memory.managed.size", "128mb");
        TableEnvironment sql = TableEnvironment.create(
            EnvironmentSettings.newInstance().inStreamingMode().withConfiguration(settings).build());
        sql.executeSql(
            "CREATE TABLE events (org_id STRING, `type` STRING, channel STRING, cost_cents DECIMAL(18, 6),"
            + " occurred_at TIMESTAMP_LTZ(3), WATERMARK FOR occurred_at AS occurred_at - INTERVAL '10' SECOND) WITH ("
            + "'connector' = 'kafka', 'topic' = '" + words[1] + "', 'properties.bootstrap.servers' = '" + words[0] + "',"
            + "'properties.group.id' = 'bench-flink', 'scan.startup.mode' = 'earliest-offset',"
            + "'scan.bounded.mode' = 'latest-offset', 'format' = 'json', 'json.timestamp-format.standard' = 'ISO-8601',"
            + "'json.ignore-parse-errors' = 'false')");
        sql.executeSql("CREATE TABLE nowhere (org_id STRING, bucket_start TIMESTAMP(3), events BIGINT, cost DECIMAL(38, 6))"
            + " WITH ('connector' = 'blackhole')");
        long cpu = cpu();
        long runtimeMs = sql.executeSql(
            "INSERT INTO nowhere SELECT org_id, window_start, COUNT(*), SUM(cost_cents) FROM TABLE("
            + "TUMBLE(TABLE events, DESCRIPTOR(occurred_at), INTERVAL '1' MINUTE)) GROUP BY org_id, window_start, window_end")
            .getJobClient().get().getJobExecutionResult().get().getNetRuntime();
        long count = Long.parseLong(words[2]);
        System.out.println("{\"rate\": " + count * 1000.0 / runtimeMs + ", \"cpu_us\": " + (cpu() - cpu) / 1e3 / count + "}");
        System.out.flush();
        Runtime.getRuntime().halt(0);
    }

    private static long cpu() {
        return ((com.sun.management.OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean()).getProcessCpuTime();
    }
}
