import Engine
import Foundation
import Protocol

/// Evaluates the measurements of a test. Pure.
package struct ClusterVerdicts {
    /// Bytes of the model's weights, and of the view's input.
    package var weights: Int
    package var viewBytes: Int

    package init(weights: Int, viewBytes: Int) {
        (self.weights, self.viewBytes) = (weights, viewBytes)
    }

    /// Maximum difference of clocks, in seconds.
    private static let maxClock = 2.0
    /// Minimum free disk space in bytes, and minimum fraction of memory that must be free.
    private static let minDisk = 1 << 30
    private static let minFree = 0.05
    /// Swapped memory of a worker that is negligible, in bytes.
    private static let maxSwap = 64 << 20
    /// How many times slower than the median of its kind a worker must be for a warning.
    private static let slow = 2.0
    /// Maximum relative difference (root mean square) between workers of different kinds.
    private static let tolerance = (exact: 1e-3, rounded: 5e-2)

    /// All checks of connected workers, in the order of `workers`.
    package func checks(_ workers: [WorkerFacts]) -> [ClusterCheck] {
        let bytes = sameBytes(workers)
        return workers.flatMap { worker in
            [
                version(worker), keys(worker), clock(worker), disk(worker), memory(worker),
                link(worker), speed(worker, among: workers),
            ] + bytes.filter { $0.subject == worker.name }
        }
    }

    private func version(_ worker: WorkerFacts) -> ClusterCheck {
        guard worker.version < protocolVersion else {
            return .init(worker.name, .versions, .good, "protocol \(worker.version)")
        }
        return .init(
            worker.name,
            .versions,
            .warning,
            "protocol \(worker.version), the coordinator \(protocolVersion)",
            remedy: "it works; update Tessera on the worker's machine before the next version"
        )
    }

    private func keys(_ worker: WorkerFacts) -> ClusterCheck {
        let detail =
            worker.key.map { "encrypted, key \($0) is allowed" } ?? "no keys, not encrypted"
        return .init(worker.name, .keys, .good, detail)
    }

    private func unknown(_ worker: WorkerFacts, _ topic: ClusterCheck.Topic) -> ClusterCheck {
        .init(worker.name, topic, .unknown, worker.failure ?? "the worker does not say")
    }

    private func clock(_ worker: WorkerFacts) -> ClusterCheck {
        guard let clock = worker.clock, let trip = worker.roundTrip else {
            return unknown(worker, .clock)
        }
        let detail = "\(Self.seconds(clock, signed: true)) ± \(Self.seconds(trip / 2))"
        let isFar = abs(clock) - trip / 2 > Self.maxClock
        return .init(
            worker.name,
            .clock,
            isFar ? .failed : .good,
            detail,
            remedy: isFar
                ? "set the clocks of both machines (timedatectl set-ntp true): invitations and logs go by them"
                : nil
        )
    }

    private func disk(_ worker: WorkerFacts) -> ClusterCheck {
        guard let report = worker.report, let free = report.cacheFree else {
            return unknown(worker, .disk)
        }
        return Self.disk(worker.name, free, at: report.cache, needed: max(Self.minDisk, weights))
    }

    /// Checks the free space of a folder.
    static func disk(
        _ subject: String,
        _ free: Int,
        at path: String,
        needed: Int = minDisk
    ) -> ClusterCheck {
        let isLow = free < needed
        return .init(
            subject,
            .disk,
            isLow ? .failed : .good,
            "\(size(free)) free for \(path)",
            remedy: isLow ? "make room: \(size(needed)) are needed" : nil
        )
    }

    private func memory(_ worker: WorkerFacts) -> ClusterCheck {
        guard let report = worker.report, let all = report.memory, let free = report.available
        else { return unknown(worker, .memory) }
        let used = report.peak.map { ", the worker had up to \(Self.size($0))" } ?? ""
        let detail =
            "\(Self.size(free)) of \(Self.size(all)) free\(used); weights \(Self.size(weights))"
        if let swapped = report.swapped, swapped > Self.maxSwap {
            return .init(
                worker.name,
                .memory,
                .failed,
                "\(Self.size(swapped)) of the worker are swapped out; \(detail)",
                remedy:
                    "start fewer workers there, end other programs, or choose a smaller precision"
            )
        }
        guard Double(free) >= Self.minFree * Double(all) else {
            return .init(
                worker.name,
                .memory,
                .failed,
                detail,
                remedy:
                    "start fewer workers there, or end other programs: the host is about to swap"
            )
        }
        return .init(worker.name, .memory, .good, detail)
    }

    private func link(_ worker: WorkerFacts) -> ClusterCheck {
        guard let trip = worker.roundTrip, let out = worker.toWorker, let back = worker.fromWorker
        else { return unknown(worker, .link) }
        let detail =
            "round trip \(Self.seconds(trip)), \(Self.rate(out)) there, \(Self.rate(back)) back"
        let time = trip + Double(viewBytes) / out + Double(viewBytes) / back
        guard let view = worker.view, time > view else {
            return .init(worker.name, .link, .good, detail)
        }
        return .init(
            worker.name,
            .link,
            .warning,
            "\(detail): carrying a view takes \(Self.seconds(time)), computing it \(Self.seconds(view))",
            remedy: "use a faster link, or --wire f16, which halves what is sent"
        )
    }

    private func speed(_ worker: WorkerFacts, among all: [WorkerFacts]) -> ClusterCheck {
        guard let view = worker.view else {
            return .init(
                worker.name,
                .speed,
                .failed,
                worker.failure ?? "it did not answer",
                remedy: "look at the worker's log on its host"
            )
        }
        let detail = "\(Self.seconds(view)) for a view, \(worker.threads) threads, \(worker.kind)"
        let others = all.filter { $0.kind == worker.kind }
            .compactMap { other in other.view.map { $0 * Double(other.threads) } }.sorted()
        let own = view * Double(worker.threads)
        guard others.count > 1, own > Self.slow * others[(others.count - 1) / 2] else {
            return .init(worker.name, .speed, .good, detail)
        }
        return .init(
            worker.name,
            .speed,
            .warning,
            "\(detail): \(String(format: "%.1f", own / others[(others.count - 1) / 2])) times as slow as others of its kind",
            remedy: "look for other programs, heat and swapping on its host (tessera cluster top)"
        )
    }
}

extension ClusterVerdicts {
    /// Whether workers agree on the result of the same unit.
    private func sameBytes(_ workers: [WorkerFacts]) -> [ClusterCheck] {
        let answered = workers.filter { $0.result != nil }
        return answered.map { worker in
            let like = answered.filter { $0.kind == worker.kind && $0.name != worker.name }
            let same = like.filter { Self.hasSameBytes($0, worker) }
            if !like.isEmpty, 2 * same.count < like.count || same.isEmpty {
                return differs(worker, from: like.filter { !Self.hasSameBytes($0, worker) })
            }
            let unlike = answered.filter { $0.kind != worker.kind }
            // A worker that agrees with others of its kind is not suspected because of one that nobody agrees with.
            func isAlone(_ one: WorkerFacts) -> Bool {
                !answered.contains {
                    $0.kind == one.kind && $0.name != one.name && Self.hasSameBytes($0, one)
                }
            }
            let far = unlike.filter {
                Self.distance($0, worker) > Self.limit($0, worker)
                    && (same.isEmpty || !isAlone($0))
            }
            // A worker that differs from most workers of other kinds is suspected.
            if 2 * far.count > unlike.count || (unlike.count == 1 && far.count == 1) {
                return differs(worker, from: far)
            }
            let words =
                (same.isEmpty ? [] : ["the same as \(Self.names(same))"])
                + (unlike.isEmpty ? [] : ["close to \(Self.names(unlike)), of other kinds"])
            return .init(
                worker.name,
                .bytes,
                words.isEmpty ? .unknown : .good,
                words.isEmpty ? "no other worker to compare with" : words.joined(separator: "; ")
            )
        }
    }

    private func differs(_ worker: WorkerFacts, from others: [WorkerFacts]) -> ClusterCheck {
        let worst = others.map { Self.distance($0, worker) }.max() ?? 0
        return .init(
            worker.name,
            .bytes,
            .failed,
            "its view differs from that of \(Self.names(others)), by up to "
                + "\(String(format: "%.2g", worst)) of its size",
            remedy:
                "render without it until its memory, GPU, libraries and overclocking are checked; of two that "
                + "differ, a third shows which one is wrong"
        )
    }

    private static func limit(_ a: WorkerFacts, _ b: WorkerFacts) -> Double {
        a.isExact && b.isExact ? tolerance.exact : tolerance.rounded
    }

    private static func hasSameBytes(_ a: WorkerFacts, _ b: WorkerFacts) -> Bool {
        guard let a = a.result, let b = b.result, a.shape == b.shape else { return false }
        return a.values.elementsEqual(b.values) { $0.bitPattern == $1.bitPattern }
    }

    /// Root mean square of the difference, relative to that of one result.
    static func distance(_ a: WorkerFacts, _ b: WorkerFacts) -> Double {
        guard let a = a.result, let b = b.result, a.shape == b.shape else { return .infinity }
        var (difference, whole) = (0.0, 0.0)
        for (x, y) in zip(a.values, b.values) {
            difference += Double(x - y) * Double(x - y)
            whole += Double(x) * Double(x)
        }
        return whole > 0 ? (difference / whole).squareRoot() : difference > 0 ? .infinity : 0
    }

    private static func names(_ workers: [WorkerFacts]) -> String {
        let names = workers.prefix(3).map(\.name).joined(separator: ", ")
        return workers.count > 3 ? "\(names) and \(workers.count - 3) more" : names
    }

    static func size(_ bytes: Int) -> String {
        bytes >= 1 << 30
            ? String(format: "%.1f GiB", Double(bytes) / 1_073_741_824)
            : "\(bytes >> 20) MiB"
    }

    static func rate(_ bytes: Double) -> String {
        bytes >= 1e6
            ? String(format: "%.0f MB/s", bytes / 1e6) : String(format: "%.0f kB/s", bytes / 1e3)
    }

    static func seconds(_ time: Double, signed: Bool = false) -> String {
        let sign = signed ? "+" : ""
        return abs(time) < 1
            ? String(format: "%\(sign).1f ms", time * 1e3) : String(format: "%\(sign).2f s", time)
    }
}
