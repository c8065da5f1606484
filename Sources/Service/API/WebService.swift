import Engine
import Foundation
import HTTPTypes
import Hummingbird
import HummingbirdCore
import Logging
import NIOCore
import Protocol
import ServiceLifecycle

/// The HTTP server for the job queue.
package struct WebService: Sendable {
    /// The address that the server listens on.
    package struct Address: Equatable, Sendable {
        private let place: HostPort
        package let port: Int

        package var host: String { place.host }

        /// Parses `HOST:PORT` or `[HOST]:PORT`.
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

        /// The host in the syntax of URLs.
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
    ///   - address: the address to listen on
    ///   - tls: certificate and key; nil for plain HTTP
    ///   - desk: handles the requests
    ///   - logger: logs warnings
    package init(address: Address, tls: ServerTLS? = nil, desk: FrontDesk, logger: Logger) {
        (self.address, self.tls, self.desk, self.logger) = (address, tls, desk, logger)
    }

    /// The OpenAPI document of the native API.
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
        // Added after all routes, so that it handles only requests without a route.
        router.add(middleware: MethodAnswers(router.routes))
        return router
    }

    /// Serves until the task is cancelled or `stop` is triggered.
    ///
    /// - Parameters:
    ///   - stop: returns when the service should stop
    ///   - onReady: called with the port once the server is listening
    /// - Throws: `InputError` if it cannot listen on the address, and errors of the server
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
                // Drop a client that stops sending in the middle of a request.
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
                // Returning here would stop the server.
                try await Task.sleep(for: .seconds(3600))
            }
            tasks.addTask { [desk] in await desk.tellViews() }
            tasks.addTask { [hub = desk.hub] in
                await stop()
                // Open event streams would keep their connections alive.
                hub.close()
                await group.triggerGracefulShutdown()
                // The other tasks continue until the server has ended.
                try await Task.sleep(for: .seconds(20))
            }
            // The server ends, or its twenty seconds are over.
            try await tasks.next()
            tasks.cancelAll()
        }
    }
}
