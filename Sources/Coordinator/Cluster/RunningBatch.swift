import Engine
import Protocol

/// The units of a batch: what was requested, with its last views split into halves where that keeps more workers busy to the end.
struct RunningBatch {
    let job: OpenJob
    let first: UInt64
    let units: [WorkUnit]
    let reports: BlockingQueue<BatchReport>
    /// What was requested.
    private let requests: [WorkUnit]
    /// The first units are checks.
    private let checks: Int
    /// The index of each other unit in what was requested.
    private let places: [Int]
    /// Parts of a shared view that have arrived, by unit.
    private var arrived: [Int: UnitAnswer] = [:]

    /// - Parameters:
    ///   - request: what was requested
    ///   - job: the one they belong to
    ///   - first: number of the first unit
    ///   - workers: how many are available to share guided views
    ///   - reports: for the render thread
    init(
        _ request: BatchRequest,
        of job: OpenJob,
        first: UInt64,
        sharedBy workers: Int,
        reports: BlockingQueue<BatchReport>
    ) {
        let requests = request.units
        (self.requests, self.job, self.first, self.reports) = (requests, job, first, reports)
        checks = request.checks.count
        // The wire rounds halves before they are combined: the bits stay the same only in float32.
        let workers = job.message.wire == .f32 ? max(1, workers) : 1
        // Two workers would do 7 and 6 of 13 views; if they share the last one, six and a half each.
        let rest = (checks + requests.count) % workers
        let shared = 2 * rest <= workers ? rest : 0
        // In front: what is done last delays the step.
        var units = request.checks.map(\.unit)
        var places = [Int](repeating: -1, count: checks)
        for (place, request) in requests.enumerated() {
            let parts = place >= requests.count - shared ? request.halves : nil
            for part in parts ?? [request] {
                units.append(part)
                places.append(place)
            }
        }
        (self.units, self.places) = (units, places)
    }

    /// The index of a check; nil for any other unit.
    func check(_ unit: UnitID) -> Int? { place(of: unit).flatMap { $0 < checks ? $0 : nil } }

    /// Takes the answer to a unit.
    ///
    /// - Returns: the index of the request, its result and the answers that this is made of, once it is complete
    mutating func take(
        _ answer: UnitAnswer,
        for unit: UnitID
    ) -> (place: Int, result: WorkResult, answers: [UnitAnswer])? {
        guard let index = place(of: unit) else { return nil }
        let place = places[index]
        // Units of one request follow one another.
        var parts = index..<index + 1
        while parts.lowerBound > checks, places[parts.lowerBound - 1] == place {
            parts = parts.lowerBound - 1..<parts.upperBound
        }
        while parts.upperBound < places.count, places[parts.upperBound] == place {
            parts = parts.lowerBound..<parts.upperBound + 1
        }
        guard parts.count > 1 else { return (place, answer.result, [answer]) }
        arrived[index] = answer
        let answers = parts.compactMap { arrived[$0] }
        guard answers.count == parts.count else { return nil }
        for part in parts { arrived[part] = nil }
        return (place, requests[place].joined(answers.map(\.result)), answers)
    }

    /// Index in the batch; nil for units of other batches.
    func place(of unit: UnitID) -> Int? {
        guard unit.rawValue >= first, unit.rawValue - first < UInt64(units.count) else {
            return nil
        }
        return Int(unit.rawValue - first)
    }

    /// Index of the request that a unit belongs to.
    func request(of unit: UnitID) -> Int? {
        place(of: unit).flatMap { $0 < checks ? nil : places[$0] }
    }

    func request(_ unit: UnitID) -> WorkUnit? { place(of: unit).map { units[$0] } }
}
