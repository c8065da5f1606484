import Engine
import Foundation
import Protocol

/// The state of this host, as far as Linux reports it.
enum HostFacts {
    /// - Parameters:
    ///   - number: number of the inquiry; 0 for none
    ///   - floats: number of floats that the report carries
    /// - Returns: the report
    static func report(_ number: UInt64, floats: Int) -> WorkerReport {
        var report = WorkerReport()
        (report.number, report.load) = (number, floats)
        report.clock = UInt64(max(0, Date().timeIntervalSince1970 * 1e6))
        let memory = kilobytes(text("/proc/meminfo"))
        (report.memory, report.available) = (memory["MemTotal"], memory["MemAvailable"])
        let own = kilobytes(text("/proc/self/status"))
        (report.peak, report.swapped) = (own["VmHWM"], own["VmSwap"])
        if let cache = UserFolder.cache.named("weights") {
            report.cache = cache
            report.cacheFree = freeBytes(cache)
        }
        report.temperature = [processorTemperature(), NVIDIADriver.temperature]
            .compactMap(\.self).max()
        return report
    }

    private static func text(_ path: String) -> String {
        (try? String(contentsOfFile: path, encoding: .utf8)) ?? ""
    }

    /// Parses lines `Name:  123 kB` of a /proc file; values in bytes.
    static func kilobytes(_ text: String) -> [String: Int] {
        var found: [String: Int] = [:]
        for line in text.split(separator: "\n") where line.hasSuffix(" kB") {
            let parts = line.split(separator: ":", maxSplits: 1)
            guard parts.count == 2, let count = Int(parts[1].dropLast(3).trimmed) else { continue }
            found[String(parts[0])] = count * 1024
        }
        return found
    }

    /// Free bytes on the file system of a folder, which need not exist yet.
    private static func freeBytes(_ path: String) -> Int? {
        var url = URL(fileURLWithPath: path)
        while url.path != "/", !FileManager.default.fileExists(atPath: url.path) {
            url.deleteLastPathComponent()
        }
        var disk = statvfs()
        guard statvfs(url.path, &disk) == 0 else { return nil }
        return Int(clamping: UInt64(disk.f_bavail) * UInt64(disk.f_frsize))
    }

    /// Kernel names of CPU temperature sensors.
    private static let sensors: Set<String> = [
        "coretemp", "k10temp", "zenpower", "cpu_thermal", "x86_pkg_temp", "cpu-thermal",
        "soc_thermal",
    ]

    /// Temperature of the hottest CPU sensor, in degrees Celsius.
    static func processorTemperature(root: String = "/sys/class") -> Double? {
        func entries(_ folder: String) -> [String] {
            ((try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? [])
                .map { "\(folder)/\($0)" }
        }
        let monitors = entries("\(root)/hwmon")
            .filter { sensors.contains(text("\($0)/name").trimmed) }
            .flatMap(entries).filter { $0.hasSuffix("_input") && $0.contains("/temp") }
        let zones = entries("\(root)/thermal")
            .filter { sensors.contains(text("\($0)/type").trimmed) }.map { "\($0)/temp" }
        return (monitors + zones).compactMap { Double(text($0).trimmed).map { $0 / 1000 } }
            .filter { (1..<150).contains($0) }.max()
    }
}

extension StringProtocol {
    fileprivate var trimmed: String { trimmingCharacters(in: .whitespacesAndNewlines) }
}
