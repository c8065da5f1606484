import Engine
import Foundation
import Synchronization

/// Sends the files of one model to workers that lack them, a chunk at a time, on a thread of its own.
/// Only what the model's catalogue lists can be asked for, by digest.
package final class ModelServer: Sendable {
    /// A request that waits.
    private struct Request: Sendable {
        let peer: [UInt8]
        let key: PublicKey
        let digest: ModelCatalogue.Digest
        let chunk: Int
    }

    /// A chunk that was read, or why it was not, and for whom.
    package struct Served: Sendable {
        package let peer: [UInt8]
        package let key: PublicKey
        package let answer: ChunkAnswer
        /// Bytes of the model, and those that a machine has which fetches its files in their order, when this chunk has arrived.
        package let total: Int
        package let reach: Int
    }

    /// What is sent while a render runs, in bytes per second, so that the render's own messages are not delayed.
    package static let busyRate = 32.0 * 1_048_576
    /// Most requests that wait; further ones are dropped, and made again by the worker.
    private static let maxWaiting = 1024

    /// What the threads share.
    private final class State: Sendable {
        /// Requests that wait.
        let waiting = Atomic<Int>(0)
        /// Whether a render runs.
        let isBusy = Atomic<Bool>(false)
        /// Whether the digests are known.
        let isReady = Atomic<Bool>(false)
        let cancellation = Cancellation()
    }

    /// What the thread is asked to do.
    private enum Order: Sendable {
        case prepare
        case answer(Request)
        case stop
    }

    private let queue = BlockingQueue<Order>()
    private let state = State()
    private let thread: NamedThread

    /// - Parameters:
    ///   - digest: of the model
    ///   - open: opens it
    ///   - post: called with each answer on the server's thread
    package init(
        digest: String,
        open: @escaping @Sendable () throws(InputError) -> Model,
        post: @escaping @Sendable (Served) -> Void
    ) {
        thread = NamedThread("modelServer") { [queue, state] in
            var shelf: Result<ModelShelf, InputError>?
            while !state.cancellation.isCancelled {
                let order = queue.take()
                guard !state.cancellation.isCancelled else { return }
                let known = shelf ?? ModelShelf.open(digest, open, state.cancellation)
                shelf = known
                state.isReady.store(true, ordering: .releasing)
                guard case .answer(let request) = order else { continue }
                state.waiting.subtract(1, ordering: .relaxed)
                let answer = Self.answer(request, known, digest)
                let shelf = try? known.get()
                let served = Served(
                    peer: request.peer,
                    key: request.key,
                    answer: answer,
                    total: shelf?.size ?? 0,
                    reach: shelf?.reach(request.digest, request.chunk) ?? 0
                )
                post(served)
                guard state.isBusy.load(ordering: .relaxed), case .bytes(let bytes) = answer.content
                else {
                    continue
                }
                Thread.sleep(forTimeInterval: Double(bytes.count) / Self.busyRate)
            }
        }
    }

    private static func answer(
        _ request: Request,
        _ shelf: Result<ModelShelf, InputError>,
        _ model: String
    ) -> ChunkAnswer {
        let content: ChunkAnswer.Content
        do {
            content = .bytes(
                try shelf.get().content(request.digest, request.chunk, model: model)
            )
        } catch {
            content = .refused("\(error)")
        }
        return ChunkAnswer(request.digest, request.chunk, content)
    }

    /// Asks for chunks; they are posted later.
    ///
    /// - Returns: how many will be; the others are dropped
    @discardableResult
    package func ask(_ request: ChunkRequest, for peer: [UInt8], _ key: PublicKey) -> Int {
        for (place, chunk) in request.chunks.enumerated() {
            guard state.waiting.load(ordering: .relaxed) < Self.maxWaiting else { return place }
            state.waiting.add(1, ordering: .relaxed)
            queue.put(
                .answer(Request(peer: peer, key: key, digest: request.digest, chunk: chunk))
            )
        }
        return request.chunks.count
    }

    /// Whether a render runs, which must not be slowed down.
    package func note(isBusy busy: Bool) { state.isBusy.store(busy, ordering: .relaxed) }

    /// Whether the model's digests are known, which takes as long as reading all of it.
    package var isReady: Bool { state.isReady.load(ordering: .acquiring) }

    /// Begins to compute them.
    package func prepare() { if !isReady { queue.put(.prepare) } }

    package func stop() {
        state.cancellation.cancel()
        queue.put(.stop)
        thread.join()
    }
}

/// The files of one model, by digest.
struct ModelShelf: Sendable {
    private let catalogue: [UInt8]
    /// Bytes of all files.
    let size: Int
    /// `start`: bytes of the files before it.
    private let places: [ModelCatalogue.Digest: (path: String, size: Int, start: Int)]

    /// Opens the model that workers must have, and computes the digests of its chunks: reads all of it.
    static func open(
        _ digest: String,
        _ model: () throws(InputError) -> Model,
        _ cancellation: Cancellation
    ) -> Result<ModelShelf, InputError> {
        do throws(InputError) {
            return .success(try ModelShelf(digest, model(), cancellation))
        } catch {
            return .failure(error)
        }
    }

    private init(
        _ digest: String,
        _ model: Model,
        _ cancellation: Cancellation
    ) throws(InputError) {
        guard try model.digest() == digest else {
            throw InputError(
                model.path,
                "its files have changed since they were loaded",
                fix: "Start it again"
            )
        }
        let content = try ModelContent(of: model)
        var files: [ModelCatalogue.File] = []
        var places: [ModelCatalogue.Digest: (path: String, size: Int, start: Int)] = [:]
        var size = 0
        for file in content.files {
            let read = try Self.read(file, cancellation)
            files.append(read)
            places[read.digest] = (file.path, read.size, size)
            size += read.size
        }
        (self.places, self.size) = (places, size)
        catalogue = ModelCatalogue(files: files, parts: content.parts).bytes
    }

    /// Reads a file and computes its digests.
    private static func read(
        _ file: ModelContent.File,
        _ cancellation: Cancellation
    ) throws(InputError) -> ModelCatalogue.File {
        let (descriptor, size) = try InputFile.open(file.path)
        defer { close(descriptor) }
        let whole = FileHash()
        var chunks: [ModelCatalogue.Digest] = []
        for chunk in 0..<ModelCatalogue.chunkCount(Int(size)) {
            guard !cancellation.isCancelled else {
                throw InputError(file.path, "the sender ended", fix: "Ask again")
            }
            let bytes = try chunkBytes(descriptor, chunk, Int(size), file.path)
            bytes.withUnsafeBytes { bytes in
                whole.add(bytes: bytes)
                chunks.append(ModelCatalogue.Digest(of: bytes))
            }
        }
        guard let digest = ModelCatalogue.Digest(bytes: whole.digest()) else {
            preconditionFailure("a digest has 32 bytes")
        }
        return ModelCatalogue.File(name: file.name, digest: digest, size: Int(size), chunks: chunks)
    }

    private static func chunkBytes(
        _ descriptor: Int32,
        _ chunk: Int,
        _ size: Int,
        _ path: String
    ) throws(InputError) -> [UInt8] {
        let start = chunk * ModelCatalogue.chunkBytes
        let count = min(ModelCatalogue.chunkBytes, size - start)
        var bytes = [UInt8](repeating: 0, count: count)
        var done = 0
        while done < count {
            let place = off_t(start + done)
            let read = bytes.withUnsafeMutableBytes { buffer in
                pread(descriptor, buffer.baseAddress?.advanced(by: done), count - done, place)
            }
            if read < 0, errno == EINTR { continue }
            guard read > 0 else {
                throw InputError(path, "it cannot be read to its end", fix: "Check the disk")
            }
            done += read
        }
        return bytes
    }

    private struct Unlisted: Error, CustomStringConvertible {
        var description: String { "it is not a part of the model" }
    }

    /// Bytes of the model up to the end of a chunk of one of its files; 0 for what is none.
    func reach(_ digest: ModelCatalogue.Digest, _ chunk: Int) -> Int {
        guard let file = places[digest] else { return 0 }
        let chunks = ModelCatalogue.chunkCount(file.size)
        return file.start + min(file.size, (min(chunk, chunks) + 1) * ModelCatalogue.chunkBytes)
    }

    /// A chunk of a file, or the catalogue for the digest of the model.
    ///
    /// - Throws: an error that says why it cannot be sent
    func content(
        _ digest: ModelCatalogue.Digest,
        _ chunk: Int,
        model: String
    ) throws -> [UInt8] {
        if digest.description == model, chunk == 0 { return catalogue }
        guard let (path, size, _) = places[digest], chunk < ModelCatalogue.chunkCount(size) else {
            throw Unlisted()
        }
        let (descriptor, _) = try InputFile.open(path)
        defer { close(descriptor) }
        return try Self.chunkBytes(descriptor, chunk, size, path)
    }
}
