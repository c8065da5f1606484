import Engine
import Foundation
import HTTPTypes
import Hummingbird
import HummingbirdCore
import Logging
import NIOCore
import Protocol
import ServiceLifecycle

/// The HTTP server in front of the queue.
package struct WebService: Sendable {
    /// Where it listens.
    package struct Address: Equatable, Sendable {
        private let place: HostPort
        package let port: Int

        package var host: String { place.host }

        /// Reads `HOST:PORT` or `[HOST]:PORT`.
        ///
        /// - Throws: `InputError` naming the flag
        package init(_ text: String, flag: String) throws(InputError) {
            guard let place = HostPort(text), let port = place.port, place.host != "*" else {
                throw InputError(
                    "\(flag) \(text)",
                    "it is not a valid address",
                    fix: "Write HOST:PORT, such as 127.0.0.1:7860, and [ADDRESS]:PORT for IPv6"
                )
            }
            (self.place, self.port) = (place, Int(port))
        }

        /// The host as links have it.
        package var written: String { place.written }

        /// Whether only this machine can connect.
        package var isLoopback: Bool { place.isLoopback }
    }

    private let address: Address
    private let tls: ServerTLS?
    private let desk: FrontDesk
    private let counters = HTTPCounters()
    private let logger: Logger

    /// - Parameters:
    ///   - address: where it listens
    ///   - tls: encrypts; nil for plain HTTP
    ///   - desk: answers
    ///   - logger: receives warnings
    package init(address: Address, tls: ServerTLS? = nil, desk: FrontDesk, logger: Logger) {
        (self.address, self.tls, self.desk, self.logger) = (address, tls, desk, logger)
    }

    /// The document that describes the native API.
    package var openAPI: JSON { NativeAPI(desk: desk, counters: counters).document }

    private var router: Router<ServiceContext> {
        let router = Router(context: ServiceContext.self)
        router.addMiddleware {
            OriginMiddleware(exposure: desk.exposure)
            ErrorAnswers(counters: counters)
            BrowserGuardMiddleware(exposure: desk.exposure)
            AccessMiddleware(
                store: desk.store,
                exposure: desk.exposure,
                rates: RequestRates(perSecond: desk.limits.requestsPerSecond)
            )
        }
        let native = NativeAPI(desk: desk, counters: counters)
        for operation in native.operations {
            router.on(RouterPath(operation.route), method: operation.method) { request, context in
                if let scope = operation.scope { try context.require(scope) }
                return try await operation.handler(request, context)
            }
        }
        OpenAIImages(desk: desk).addRoutes(to: router)
        A1111API(desk: desk).addRoutes(to: router)
        PageFiles.addRoutes(to: router)
        let document = native.document
        router.get("/api/v1/openapi.json") { _, _ in Response(json: document) }
        // After all routes: only what no route answers reaches it.
        router.add(middleware: MethodAnswers(router.routes))
        return router
    }

    /// Serves until the task is cancelled or `stop` is triggered.
    ///
    /// - Parameters:
    ///   - stop: returns when it is to stop
    ///   - onReady: called with the port once it listens
    /// - Throws: `InputError` when it cannot listen there, and what the server throws
    package func run(
        until stop: @escaping @Sendable () async -> Void,
        onReady: @escaping @Sendable (Int) -> Void
    ) async throws {
        do {
            try await serve(until: stop, onReady: onReady)
        } catch let error as IOError {
            throw InputError(
                "--listen \(address.written):\(address.port)",
                error.errnoCode == EADDRINUSE
                    ? "another program listens there"
                    : "nothing can listen there (\(String(cString: strerror(error.errnoCode)).lowercased()))",
                fix: "Choose another address or port"
            )
        } catch is SocketAddressError {
            throw InputError(
                "--listen \(address.written):\(address.port)",
                "the host's name is not known",
                fix: "Write an address of this machine"
            )
        }
    }

    private func serve(
        until stop: @escaping @Sendable () async -> Void,
        onReady: @escaping @Sendable (Int) -> Void
    ) async throws {
        let plain = HTTPServerBuilder.http1(
            configuration: HTTP1Channel.Configuration(
                // A client that stops sending in the middle of a request is dropped.
                idleTimeout: .seconds(30),
                httpDecoderConfiguration: .init(
                    maxHeaderFieldSize: 16 << 10,
                    maxHeaderListSize: 64 << 10,
                    maxHeaderFieldCount: 100
                )
            )
        )
        let app = Application(
            router: router,
            server: try tls?.server(around: plain) ?? plain,
            configuration: ApplicationConfiguration(
                address: .hostname(address.host, port: address.port),
                serverName: nil,
                availableConnectionsDelegate: MaximumAvailableConnections(
                    desk.limits.connections,
                    logger: logger
                )
            ),
            onServerRunning: { channel in onReady(channel.localAddress?.port ?? address.port) },
            logger: logger
        )
        let group = ServiceGroup(
            configuration: .init(services: [app], logger: logger)
        )
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { try await group.run() }
            tasks.addTask { [hub = desk.hub] in
                while !Task.isCancelled {
                    try await Task.sleep(for: .seconds(10))
                    hub.publish(.alive, job: nil, .object([:]))
                }
            }
            tasks.addTask { [desk] in
                await desk.cutFinishedPictures()
                // The end of this task would end the server.
                try await Task.sleep(for: .seconds(3600))
            }
            tasks.addTask { [desk] in await desk.tellViews() }
            tasks.addTask { [hub = desk.hub] in
                await stop()
                // Streams would keep their connections open.
                hub.close()
                await group.triggerGracefulShutdown()
                // The others go on until the server has ended.
                try await Task.sleep(for: .seconds(20))
            }
            // The server ends, or is given twenty seconds to.
            try await tasks.next()
            tasks.cancelAll()
        }
    }
}
