import Engine
import Protocol
import Sampling

/// The units of the requested step, and those of the next one that were begun early. The last views of a step are split
/// into halves if that keeps more workers busy until the end.
///
/// If views of the next step are being computed when it is requested, the batch goes on with it. Otherwise it ends.
struct RunningBatch {
    let job: OpenJob
    let reports: BlockingQueue<BatchReport>
    /// The step that was requested last.
    private(set) var step: Int
    /// Units of it without an answer.
    private var open: Set<Place> = []
    private var isReported = false
    private var parts: [UnitID: Part] = [:]
    /// The first step, and the number that its units begin with.
    private let first: (step: Int, number: UInt64)

    /// The position of a unit in the batch.
    struct Place: Hashable {
        let step: Int
        /// Index in the step, or among its checks.
        let index: Int
        var isCheck = false
    }

    /// A unit, or one evaluation of a shared view.
    private struct Part {
        let place: Place
        let unit: WorkUnit
        let shared: SharedView?
        /// The worker that computes it, by its index on the board.
        var worker: Int?
        var isDone = false
        /// Answer to a part of a shared view, until all parts are answered.
        var answer: UnitAnswer?
    }

    /// A view whose evaluations are separate units.
    private struct SharedView {
        let view: WorkUnit
        let parts: [UnitID]
    }

    /// A unit to be given to the dispatcher.
    struct Addition {
        let id: UnitID
        let unit: WorkUnit
        /// Orders steps, and within a step puts first what all windows of the next step wait for.
        let rank: Int
        /// The sites that may not have it, if it is a check.
        var barred: Set<HostID>?
    }

    /// What an answer completes.
    struct Completion {
        let place: Place
        let result: WorkResult
        let answers: [UnitAnswer]
    }

    /// - Parameters:
    ///   - job: the job that the units belong to
    ///   - step: the first step
    ///   - number: number that its units begin with
    ///   - reports: reports for the render thread
    init(of job: OpenJob, step: Int, number: UInt64, reports: BlockingQueue<BatchReport>) {
        (self.job, self.step, self.reports) = (job, step, reports)
        first = (step, number)
    }

    /// Number of unit numbers that each step has.
    static let numbersOfStep: UInt64 = 1 << 32

    /// Where the numbers of another batch may begin.
    var nextNumber: UInt64 { first.number + UInt64(step + 2 - first.step) * Numbers.step }

    /// Whether all that was requested is answered; true once for each request.
    mutating func takeCompletion() -> Bool {
        guard open.isEmpty, !isReported else { return false }
        isReported = true
        return true
    }

    /// Requests a step.
    ///
    /// - Parameters:
    ///   - request: for the first step, or for the one after the last
    ///   - workers: number of workers that may share the last views; 1 to share none
    /// - Returns: units that were not begun early
    mutating func request(_ request: BatchRequest, sharedBy workers: Int) -> [Addition] {
        (step, isReported) = (request.step, false)
        parts = parts.filter { $0.value.place.step >= step }
        open = Set(parts.values.lazy.filter { !$0.isDone }.map(\.place))
        let begun = Set(parts.values.map(\.place.index))
        let units = request.units.filter { !begun.contains($0.index) }.inOrder
        // Checks come first: whatever is done last delays the step.
        var additions = request.checks.enumerated().map { index, check in
            var addition = add(check.unit, at: Place(step: step, index: index, isCheck: true))
            addition.barred = check.barred
            return addition
        }
        let count = units.count - shared(of: additions.count + units.count, by: workers)
        for (number, (index, unit)) in units.enumerated() {
            let place = Place(step: step, index: index)
            if number >= count, let halves = unit.halves {
                additions += add(halves, of: unit, at: place)
            } else {
                additions.append(add(unit, at: place))
            }
        }
        return additions
    }

    /// Adds views of the next step.
    mutating func begin(early views: [EarlyView]) -> [Addition] {
        views.map { add($0.unit, at: Place(step: step + 1, index: $0.index)) }
    }

    /// Views of the next step without an answer.
    var early: [UnitID] {
        parts.filter { $0.value.place.step > step && !$0.value.isDone }.keys.sorted()
    }

    /// Forgets a view that nobody has begun.
    mutating func drop(_ id: UnitID) { parts[id] = nil }

    /// Nobody will compute a check.
    mutating func skip(_ id: UnitID) {
        guard let place = parts.removeValue(forKey: id)?.place else { return }
        open.remove(place)
    }

    /// How many of the last views are shared: of 13 views, two workers would compute 7 and 6; if they share the last
    /// one, six and a half each.
    private func shared(of units: Int, by workers: Int) -> Int {
        // The wire rounds halves before they are combined: the bits stay the same only in float32.
        let workers = job.message.wire == .f32 ? max(1, workers) : 1
        let rest = units % workers
        return 2 * rest <= workers ? rest : 0
    }

    private mutating func add(_ unit: WorkUnit, at place: Place) -> Addition {
        let id = id(of: unit, at: place)
        parts[id] = Part(place: place, unit: unit, shared: nil)
        open.formUnion(place.step == step ? [place] : [])
        return Addition(id: id, unit: unit, rank: rank(of: unit, at: place))
    }

    private mutating func add(
        _ halves: [WorkUnit],
        of view: WorkUnit,
        at place: Place
    ) -> [Addition] {
        let ids = halves.indices.map { id(of: view, at: place, half: $0) }
        let shared = SharedView(view: view, parts: ids)
        for (id, half) in zip(ids, halves) {
            parts[id] = Part(place: place, unit: half, shared: shared)
        }
        open.insert(place)
        return zip(ids, halves).map {
            Addition(id: $0, unit: $1, rank: rank(of: view, at: place))
        }
    }

    private func rank(of unit: WorkUnit, at place: Place) -> Int {
        2 * (place.step - first.step) + (place.isCheck || unit.place == nil ? 0 : 1)
    }

    /// A worker computes a unit.
    mutating func assign(_ id: UnitID, to worker: Int) { parts[id]?.worker = worker }

    /// Takes the answer to a unit.
    ///
    /// - Returns: what it completes
    mutating func take(_ answer: UnitAnswer, for id: UnitID) -> Completion? {
        guard let part = parts[id] else { return nil }
        parts[id]?.isDone = true
        let place = part.place
        guard let shared = part.shared else {
            open.remove(place)
            return Completion(place: place, result: answer.result, answers: [answer])
        }
        parts[id]?.answer = answer
        let answers = shared.parts.compactMap { parts[$0]?.answer }
        guard answers.count == shared.parts.count else { return nil }
        open.remove(place)
        return Completion(
            place: place,
            result: shared.view.joined(answers.map(\.result)),
            answers: answers
        )
    }

    /// Position of a unit; nil for units of other batches.
    func place(of id: UnitID) -> Place? { parts[id]?.place }

    subscript(_ id: UnitID) -> WorkUnit? { parts[id]?.unit }

    /// An embedding that one of its units names.
    func embedding(_ digest: EmbeddingDigest) -> Embedding? {
        parts.values.lazy.compactMap { $0.unit.embeddings[digest] }.first
    }

    /// Who computes the views of the requested step, by their index.
    var assignments: [(view: Int, assignment: ViewAssignment)] {
        parts.values.compactMap { part in
            guard let worker = part.worker, part.place.step == step, !part.place.isCheck else {
                return nil
            }
            return (part.place.index, ViewAssignment(worker: worker, isDone: part.isDone))
        }
    }

    /// Number ranges of units: those of a step are in the order in which they should be computed, whenever they are
    /// added.
    private enum Numbers {
        static let step = RunningBatch.numbersOfStep
        static let rest: UInt64 = 1 << 30
        static let windows: UInt64 = 1 << 31
        static let unit = UInt64(WorkUnit.View.maxConditionings)
    }

    private func id(of unit: WorkUnit, at place: Place, half: Int = 0) -> UnitID {
        let kind = place.isCheck ? 0 : unit.place == nil ? Numbers.rest : Numbers.windows
        let step = first.number + UInt64(place.step - first.step) * Numbers.step
        return UnitID(step + kind + UInt64(place.index) * Numbers.unit + UInt64(half))
    }
}

extension [(index: Int, unit: WorkUnit)] {
    /// Lattices before windows, because all windows of the next step wait for them.
    fileprivate var inOrder: Self {
        filter { $0.unit.place == nil } + filter { $0.unit.place != nil }
    }
}
