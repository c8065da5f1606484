import Engine
import Foundation
import Protocol
import Sampling

/// What was begun early of a job's next step.
struct BegunStep: Sendable {
    /// Number of the step in its job.
    var number = 0
    /// Where its answers arrive, and those of earlier steps in the same batch.
    var reports = BlockingQueue<BatchReport>()
    /// Units that were begun, by their index in the step.
    var units: [Int: WorkUnit] = [:]
    var answers: [Int: Answer] = [:]

    struct Answer {
        let result: WorkResult
        let parts: [UnitAnswer]
    }

    /// Whether all units that were begun belong to this step, now that it is known.
    func isBeginning(of step: [WorkUnit]) -> Bool {
        units.allSatisfy { step.indices.contains($0.key) && step[$0.key].isSame(as: $0.value) }
    }
}

/// The answers to the units of a step as they arrive, and to those of the next step that were begun early.
struct StepAnswers {
    /// What a report says.
    enum News {
        /// A unit of the step is done.
        case done(Int)
        /// All units and all checks are done.
        case complete
        case other
    }

    let number: Int
    let reports: BlockingQueue<BatchReport>
    /// Answers that arrived before the step was requested, until they are taken.
    private var early: [Int: BegunStep.Answer]
    private(set) var next: BegunStep
    private var answers: [BegunStep.Answer?]
    private var checks: [UnitAnswer?]

    /// - Parameters:
    ///   - begun: what was begun early of the step
    ///   - units: number of units of the step
    ///   - checks: number of checks that are computed with them
    init(_ begun: BegunStep, units: Int, checks: Int) {
        (number, reports, early) = (begun.number, begun.reports, begun.answers)
        next = BegunStep(number: begun.number + 1, reports: begun.reports)
        answers = Array(repeating: nil, count: units)
        self.checks = Array(repeating: nil, count: checks)
    }

    /// Takes the answers that arrived early.
    ///
    /// - Returns: the units that are done
    /// - Throws: why the batch has ended
    mutating func takeEarly() throws -> [Int] {
        for (index, answer) in early { answers[index] = answer }
        early = [:]
        for report in reports.takeAll() { _ = try take(report) }
        return answers.indices.filter { answers[$0] != nil }
    }

    /// Units without an answer.
    func missing(of units: [WorkUnit]) -> [(index: Int, unit: WorkUnit)] {
        units.enumerated().filter { answers[$0.offset] == nil }.map { ($0.offset, $0.element) }
    }

    /// The answer to a unit that is done.
    func prediction(_ index: Int) -> Tensor? { answers[index]?.result.tensor }

    /// Records views of the next step that are begun.
    mutating func begin(_ views: [EarlyView]) {
        for view in views { next.units[view.index] = view.unit }
    }

    /// Waits for a report.
    ///
    /// - Throws: why the batch has ended
    mutating func wait() throws -> News { try take(reports.take()) }

    private mutating func take(_ report: BatchReport) throws -> News {
        switch report {
        case .done(let place, let result, let parts):
            let answer = BegunStep.Answer(result: result, parts: parts)
            guard place.step == number else {
                next.answers[place.index] = answer
                return .other
            }
            // A unit that was done early may have been requested again at that moment.
            guard answers[place.index] == nil else { return .other }
            answers[place.index] = answer
            return .done(place.index)
        case .checked(let index, let answer):
            checks[index] = answer
            return .other
        case .complete: return .complete
        case .failed(let error): throw error
        }
    }

    /// All answers, once the step is complete.
    var batch: AnsweredBatch {
        let all = answers.compactMap(\.self)
        precondition(all.count == answers.count, "\(all.count) answers to \(answers.count) units")
        return AnsweredBatch(
            results: all.map(\.result),
            answers: all.flatMap(\.parts),
            checks: checks
        )
    }
}

extension WorkUnit {
    /// Whether another unit asks for the same result, bit by bit.
    fileprivate func isSame(as other: WorkUnit) -> Bool {
        work == other.work && input.hasSameBits(as: other.input)
    }
}

extension Tensor {
    fileprivate func hasSameBits(as other: Tensor) -> Bool {
        guard shape == other.shape else { return false }
        return withFloats { a in
            other.withFloats { b in
                guard let a = UnsafeRawBufferPointer(a).baseAddress, let b = b.baseAddress else {
                    return true
                }
                return memcmp(a, b, MemoryLayout<Float>.size * count) == 0
            }
        }
    }
}
