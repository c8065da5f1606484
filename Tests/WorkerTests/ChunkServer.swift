import Engine
import Foundation
import Protocol
import Testing

/// Answers requests for chunks as a test specifies, on its own thread.
final class ChunkServer {
    let endpoint: Endpoint
    private let stop: Cancellation
    private let thread: NamedThread

    /// - Parameter answer: answers a request for a chunk of a file; nil: no answer
    /// - Throws: if it cannot listen
    init(
        _ answer:
            @escaping @Sendable (_ file: ModelCatalogue.Digest, _ chunk: Int) ->
            ChunkAnswer.Content?
    ) throws {
        let bound = BlockingQueue<Endpoint?>()
        let stop = Cancellation()
        self.stop = stop
        thread = NamedThread("chunks") {
            guard let router = try? Socket(.router, in: SocketContext()),
                let wakeup = try? Wakeup(),
                let endpoint = try? router.bind(Endpoint("tcp://127.0.0.1:0"))
            else { return bound.put(nil) }
            bound.put(endpoint)
            while !stop.isCancelled {
                try? router.wait(wakeup, for: .milliseconds(10))
                guard case .message(let frames)? = try? router.receive(),
                    case .fetch(let request)? = try? WorkerMessage(
                        frames: Array(frames.dropFirst())
                    )
                else { continue }
                for chunk in request.chunks {
                    guard let content = answer(request.digest, chunk) else { continue }
                    let message = CoordinatorMessage.chunk(
                        ChunkAnswer(request.digest, chunk, content)
                    )
                    _ = try? router.send([frames[0]] + message.frames)
                }
            }
        }
        endpoint = try #require(bound.take())
    }

    /// Stops the server. Call it once.
    func end() {
        stop.cancel()
        thread.join()
    }
}
