import Engine
import Protocol

/// Who answered a unit.
package struct Answerer: Equatable, Sendable {
    /// The worker's name.
    package let worker: String
    /// Its site: workers of one site are not independent of each other.
    package let site: HostID
    /// What the worker computes with.
    package let kind: AnswerKind

    package init(worker: String, site: HostID, kind: AnswerKind) {
        (self.worker, self.site, self.kind) = (worker, site, kind)
    }
}

/// A worker's answer to a unit, or to a half of one.
package struct UnitAnswer: Sendable {
    package let unit: WorkUnit
    package let result: WorkResult
    package let answerer: Answerer

    package init(unit: WorkUnit, result: WorkResult, answerer: Answerer) {
        (self.unit, self.result, self.answerer) = (unit, result, answerer)
    }
}

/// A request to compute a unit a second time.
struct CheckRequest: Sendable {
    let unit: WorkUnit
    /// The sites that may not compute it.
    let barred: Set<HostID>
}

/// What workers are asked to compute at once: the units of a step.
struct BatchRequest: Sendable {
    /// Number of the request in its job.
    let step: Int
    /// Units without an answer, by their index in the step.
    var units: [(index: Int, unit: WorkUnit)]
    var checks: [CheckRequest] = []
}

/// The results of a batch.
struct AnsweredBatch: Sendable {
    /// Results in the order of the units.
    var results: [WorkResult] = []
    /// All answers that the results are made of, in the order of the units.
    var answers: [UnitAnswer] = []
    /// Answers in the order of the checks; nil if no independent worker could compute one.
    var checks: [UnitAnswer?] = []
}

extension Roster.Peer {
    /// Who answers, and what it computes with.
    var answerer: Answerer {
        Answerer(
            worker: hello.name,
            site: site,
            kind: AnswerKind(
                processor: hello.processor,
                backend: hello.backend,
                precision: hello.precision,
                program: hello.program
            )
        )
    }

    /// The machine that it is on, as far as can be told: this one, or the one with its key at its address, or the one
    /// with its name. Workers on one machine usually have the same name with a number at the end. Everything that comes
    /// through a relay may be the relay's own.
    var site: HostID {
        if origin.address.isEmpty { return .here }
        if hello.relay != nil {
            return HostID("relay \(origin.key.map { "\($0) " } ?? "")at \(origin.address)")
        }
        if origin.key != nil { return host }
        let announced = host.text.dropLast(" at \(origin.address)".count)
        let base = announced.reversed().drop { $0.isNumber }.drop { "-_.:".contains($0) }.reversed()
        return HostID("\(base.isEmpty ? String(announced) : String(base)) at \(origin.address)")
    }
}

extension HostID {
    /// This machine.
    package static let here = HostID("this host")
}
