import Engine
import Logging
import Protocol

/// A place that chunks come from: the coordinator, or a neighbour.
package final class ChunkSource {
    /// For people.
    let name: String
    let isNeighbour: Bool
    let connection: FetchConnection
    /// Not asked before: it is preparing.
    fileprivate var pausedUntil: ContinuousClock.Instant?

    package init(_ name: String, isNeighbour: Bool, _ connection: FetchConnection) {
        (self.name, self.isNeighbour, self.connection) = (name, isNeighbour, connection)
    }
}

/// Where one model's chunks come from: neighbours first, the coordinator where none is of use.
package final class ChunkSources {
    private var neighbours: [ChunkSource]
    private let coordinator: ChunkSource
    private let logger: Logger
    private var isSilent = false

    /// How long one that is preparing is left alone, and how many chunks come from the coordinator until then.
    private static let pause: Duration = .seconds(2)
    private static let turn = 32

    package init(coordinator: ChunkSource, neighbours: [ChunkSource], _ logger: Logger) {
        (self.coordinator, self.neighbours, self.logger) = (coordinator, neighbours, logger)
    }

    /// - Parameters:
    ///   - coordinator: the connection to it
    ///   - places: neighbours that it named
    ///   - security: this worker's keys
    ///   - logger: is told of neighbours that are left
    /// - Throws: `SocketError`
    convenience init(
        coordinator: FetchConnection,
        _ places: [Neighbour],
        _ security: Security,
        _ logger: Logger
    ) throws {
        self.init(
            coordinator: ChunkSource("the coordinator", isNeighbour: false, coordinator),
            neighbours: try Self.neighbours(places, security),
            logger
        )
    }

    /// Only what is on this machine's own networks is called, whatever the coordinator says.
    private static func neighbours(
        _ places: [Neighbour],
        _ security: Security
    ) throws -> [ChunkSource] {
        guard case .worker(let own, _) = security, !places.isEmpty else { return [] }
        let networks = LANAddress.own
        return try places.filter { place in networks.contains { $0.reaches(place.address) } }
            .map { place in
                let address = "\(place.address.host):\(place.port)"
                let connection = try FetchConnection(
                    try Endpoint("tcp://\(address)", reach: .network),
                    .worker(own, coordinator: place.key)
                )
                return ChunkSource("the neighbour at \(address)", isNeighbour: true, connection)
            }
    }

    /// The one to ask now, and after which chunk others are looked at again; nil: after the last.
    func next(after present: Int) -> (source: ChunkSource, end: Int?) {
        let now = ContinuousClock.now
        if let ready = neighbours.first(where: { $0.pausedUntil.map { $0 <= now } ?? true }) {
            return (ready, nil)
        }
        return (coordinator, neighbours.isEmpty ? nil : present + Self.turn)
    }

    /// One is preparing.
    func pause(_ source: ChunkSource) { source.pausedUntil = .now + Self.pause }

    /// The coordinator does not answer. Told once.
    func noteSilence() {
        guard !isSilent else { return }
        isSilent = true
        logger.warning("the coordinator sends nothing of the model: asking again until it does")
    }

    /// The coordinator has sent something.
    func noteAnswer() {
        guard isSilent else { return }
        isSilent = false
        logger.notice("the coordinator answers: fetching the rest of the model")
    }

    /// One is of no use: it is not asked again.
    func leave(_ source: ChunkSource, because reason: String) {
        neighbours.removeAll { $0 === source }
        logger.warning(
            "\(source.name) \(reason): it is left out, and nothing wrong is kept"
        )
    }
}
