import Coordinator
import Engine
import Protocol

/// Judges which hosts can be reached and which workers have joined, and classifies the reasons. Pure.
package struct HostVerdicts {
    /// Hosts of the file with the names of their workers, and machines that joined by invitation.
    package var hosts: [(name: String, workers: [String])]
    package var members: [(name: String, key: PublicKey)]
    package var reports: [HostReport]
    package var workers: [WorkerStatistics]
    package var refused: [String: RefusedWorker]

    package init(
        hosts: [(name: String, workers: [String])],
        members: [(name: String, key: PublicKey)],
        reports: [HostReport],
        workers: [WorkerStatistics],
        refused: [String: RefusedWorker]
    ) {
        (self.hosts, self.members, self.reports) = (hosts, members, reports)
        (self.workers, self.refused) = (workers, refused)
    }

    package var checks: [ClusterCheck] {
        let active = workers.filter(\.isActive)
        let names = Set(active.map(\.name))
        let ofHosts = hosts.flatMap { host, expected -> [ClusterCheck] in
            let report = reports.first { $0.host == host }
            let present = expected.filter(names.contains)
            let count = "\(present.count) of \(expected.count) workers joined"
            if present.count == expected.count {
                return [ClusterCheck(host, .reach, .good, count)]
            }
            if let failure = report?.failure {
                return [Self.fault(host, failure, isHost: true)]
            }
            return expected.filter { !names.contains($0) }
                .map { Self.fault($0, reason($0, report), isHost: false) }
        }
        let keys = Set(active.compactMap(\.key))
        let joined = members.map { name, key in
            keys.contains(key)
                ? ClusterCheck(name, .reach, .good, "joined by invitation, and is here")
                : ClusterCheck(
                    name,
                    .reach,
                    .failed,
                    "joined by invitation, and has not called",
                    remedy:
                        "start it there (tessera join; if it is a relay, tessera relay), or tessera cluster "
                        + "remove \(name)"
                )
        }
        let all = ofHosts + joined
        return all.isEmpty && active.isEmpty ? [Self.nobody] : all
    }

    /// The result for a cluster without machines.
    private static let nobody = ClusterCheck(
        "cluster",
        .reach,
        .failed,
        "no machine has joined, and the cluster file names no host",
        remedy: "list hosts in the file, or let machines join: tessera cluster invite"
    )

    private func reason(_ worker: String, _ report: HostReport?) -> String {
        if let refusal = refused[worker] { return "refused: \(refusal.reason)" }
        guard let report else { return "nothing is known of it" }
        if let ending = report.ended[worker] ?? report.returning[worker] { return ending }
        if report.states[worker]?.isStopped == true {
            return "\(worker) is stopped: kill -CONT its process there resumes it"
        }
        return HostWatch.complaint(of: worker, report)
            ?? "it runs and has not joined, and does not say why"
    }

    private static func fault(_ subject: String, _ reason: String, isHost: Bool) -> ClusterCheck {
        let topic = topic(of: reason)
        return ClusterCheck(subject, topic, .failed, reason, remedy: remedy(topic, isHost: isHost))
    }

    /// Classifies the text of a reason.
    package static func topic(of reason: String) -> ClusterCheck.Topic {
        let text = reason.lowercased()
        func says(_ words: String...) -> Bool { words.contains { text.contains($0) } }
        if says("(publickey", "ssh:") { return .reach }
        if says("this host has tessera", "version ", "of the protocol") { return .versions }
        if says("key", "allow", "permission") { return .keys }
        if says("model", "weights", "lora", "digest", "checkpoint") { return .model }
        if says("memory") { return .memory }
        if says("space left", "disk") { return .disk }
        return .reach
    }

    private static func remedy(_ topic: ClusterCheck.Topic, isHost: Bool) -> String {
        switch topic {
        case .versions: "install the same version of Tessera on both machines"
        case .keys:
            "compare keys:, coordinator-key: and allow: in the cluster file; secret keys are readable by their owner only"
        case .model:
            "copy the model to the host, or let the machine join by invitation, which fetches it"
        case .memory: "start fewer workers there, or choose a smaller precision"
        case .disk: "make room on the host"
        default:
            isHost
                ? "run the launch command by hand; docs/cluster.md lists what its messages mean"
                : "look at the worker's log on its host, and whether it reaches the coordinator's endpoint"
        }
    }
}
