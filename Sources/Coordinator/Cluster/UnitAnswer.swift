import Engine
import Protocol

/// Who answered a unit.
package struct Answerer: Equatable, Sendable {
    /// The worker's name.
    package let worker: String
    /// Workers of one site are not independent of each other.
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

/// A unit that is computed a second time.
struct CheckRequest: Sendable {
    let unit: WorkUnit
    /// The sites that may not compute it.
    let barred: Set<HostID>
}

/// What is asked of workers at once: the units of a step.
struct BatchRequest: Sendable {
    /// Counts the job's requests.
    let step: Int
    /// Those without an answer, by their index in the step.
    var units: [(index: Int, unit: WorkUnit)]
    var checks: [CheckRequest] = []
}

/// The results of a batch.
struct AnsweredBatch: Sendable {
    /// In the order of the units.
    var results: [WorkResult] = []
    /// All answers that they are made of, in the order of the units.
    var answers: [UnitAnswer] = []
    /// In the order of the checks; nil where no independent worker could compute one.
    var checks: [UnitAnswer?] = []
}

extension Roster.Peer {
    /// Who answers, and what with.
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

    /// The machine that it is on, as far as can be told: this one, or that with its key at its address, or that with its
    /// name. Workers of one machine are usually named alike, with a number at the end. All that comes through a relay may be the
    /// relay's.
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
