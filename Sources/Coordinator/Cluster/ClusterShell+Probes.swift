import Engine
import Foundation
import Logging
import Protocol

/// Questions to single workers, bypassing the dispatcher: a cluster test gives every worker the same unit.
extension ClusterShell {
    func begin(_ request: ProbeRequest) {
        guard let peer = roster.all.last(where: { $0.hello.name == request.worker }) else {
            return request.reply.put(.failed("\(request.worker) is not connected"))
        }
        let number = nextUnit
        nextUnit += 1
        var unit: (WorkUnit, ModelGeometry)?
        let message: CoordinatorMessage
        switch request.question {
        case .report(let load, let floats):
            guard peer.version >= 8 else {
                return request.reply.put(
                    .failed("version \(peer.version) of the protocol has no reports")
                )
            }
            message = .inquiry(Inquiry(number: number, load: load, floats: floats))
        case .unit(let work, let handle):
            guard let job = jobs[handle.id] else {
                return request.reply.put(.failed("the job was ended"))
            }
            for digest in work.embeddingDigests {
                if let embedding = work.embeddings[digest] { embeddings.insert(embedding) }
            }
            announce(job.message, to: peer)
            unit = (work, job.model)
            var task = CoordinatorMessage.Task(
                id: UnitID(number),
                job: job.message.id,
                unit: work,
                wire: job.message.wire
            )
            task.packs = peer.packs
            message = .task(task)
        }
        probes[number] = RunningProbe(
            worker: peer.worker,
            sent: Date().timeIntervalSince1970,
            unit: unit,
            reply: request.reply
        )
        send(message, to: peer)
    }

    /// Records a worker's report.
    func note(_ report: WorkerReport, from peer: Roster.Peer) {
        board.update(peer.place) { ($0.host, $0.hostSeen) = (report, Date()) }
        feed(.heard(peer.worker))
        guard let probe = probe(report.number, of: peer), probe.unit == nil else { return }
        probes[report.number] = nil
        let now = Date().timeIntervalSince1970
        probe.reply.put(.report(report, sent: probe.sent, came: now))
    }

    /// - Returns: whether the answer belongs to a probe
    func answerProbe(_ answer: WorkerMessage.Answer, of peer: Roster.Peer) -> Bool {
        guard let probe = probe(answer.unit.rawValue, of: peer), let (unit, model) = probe.unit
        else { return false }
        let fault = unit.fault(of: answer.result, model)
        let spent = Duration.microseconds(Int64(clamping: answer.microseconds))
        return endProbe(
            answer.unit.rawValue,
            of: peer,
            fault.map { .failed($0) } ?? .result(answer.result, spent: spent)
        )
    }

    /// - Returns: whether the probe existed
    @discardableResult
    func endProbe(_ number: UInt64, of peer: Roster.Peer, _ reply: ProbeReply) -> Bool {
        guard let probe = probe(number, of: peer) else { return false }
        probes[number] = nil
        feed(.heard(peer.worker))
        probe.reply.put(reply)
        return true
    }

    /// Fails the probes of a worker that is gone.
    func endProbes(of peer: Roster.Peer, _ reason: String) {
        for (number, probe) in probes where probe.worker == peer.worker {
            probes[number] = nil
            probe.reply.put(.failed(reason))
        }
    }

    private func probe(_ number: UInt64, of peer: Roster.Peer) -> RunningProbe? {
        probes[number].flatMap { $0.worker == peer.worker ? $0 : nil }
    }
}
