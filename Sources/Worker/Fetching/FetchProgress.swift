import Logging
import Protocol

/// Says how far a model is, every ten percent, and where it comes from.
struct FetchProgress {
    private let total: Int
    private let logger: Logger
    private var done = 0
    private var told = 0
    private var source = ""
    /// Bytes that came from neighbours.
    private(set) var fromNeighbours = 0

    init(total: Int, _ logger: Logger) { (self.total, self.logger) = (max(1, total), logger) }

    /// Chunks that were there before.
    mutating func add(_ chunks: Int, of file: ModelCatalogue.File) {
        add(min(file.size, chunks * ModelCatalogue.chunkBytes))
    }

    /// Bytes that have arrived.
    mutating func add(_ bytes: Int, from source: ChunkSource) {
        if source.name != self.source {
            if source.isNeighbour { logger.notice("fetching the model from \(source.name)") }
            self.source = source.name
        }
        if source.isNeighbour { fromNeighbours += bytes }
        add(bytes)
    }

    private mutating func add(_ bytes: Int) {
        done += bytes
        let share = done * 10 / total
        guard share > told else { return }
        told = share
        logger.notice("model: \(share * 10) % of \(ModelCache.text(total))")
    }
}
