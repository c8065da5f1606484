// swift-tools-version: 6.2
import PackageDescription

let strict: [SwiftSetting] = [.treatAllWarnings(as: .error)]
let strictC: [CSetting] = [.treatAllWarnings(as: .error)]

let package = Package(
    name: "tessera",
    products: [
        .executable(name: "tessera", targets: ["Tessera"])
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-protobuf", from: "1.39.0"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
        // Without its reader of configuration files, which would be compiled for nothing.
        .package(
            url: "https://github.com/hummingbird-project/hummingbird",
            from: "2.28.1",
            traits: ["FullFoundation"]
        ),
        .package(url: "https://github.com/apple/swift-metrics", from: "2.9.0"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.0"),
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.2"),
        .package(
            url: "https://github.com/swift-server/swift-service-lifecycle",
            from: "2.13.0"
        ),
    ],
    targets: [
        // C boundaries.
        .systemLibrary(
            name: "CZeroMQ",
            providers: [.apt(["libzmq3-dev"])]
        ),
        .systemLibrary(
            name: "COpenBLAS",
            providers: [.apt(["libopenblas-dev"])]
        ),
        .systemLibrary(
            name: "CLCMS",
            providers: [.apt(["liblcms2-dev"])]
        ),
        .systemLibrary(
            name: "CSodium",
            providers: [.apt(["libsodium-dev"])]
        ),
        .systemLibrary(
            name: "CZlib",
            providers: [.apt(["zlib1g-dev"])]
        ),
        .target(name: "CPNG", cSettings: strictC, linkerSettings: [.linkedLibrary("png")]),
        .target(name: "CJPEG", cSettings: strictC, linkerSettings: [.linkedLibrary("jpeg")]),
        .target(name: "CWebP", cSettings: strictC, linkerSettings: [.linkedLibrary("webp")]),
        .target(name: "CTIFF", cSettings: strictC, linkerSettings: [.linkedLibrary("tiff")]),
        .target(name: "CKernels", cSettings: strictC),
        // The live page of `tessera serve`.
        .target(name: "CPage", exclude: ["files"], cSettings: strictC),
        // Needs nothing of PyTorch: it opens what the user has installed.
        .target(name: "CTorch", cSettings: strictC),
        .target(
            name: "COneDNN",
            dependencies: ["CKernels"],
            cSettings: strictC,
            linkerSettings: [.linkedLibrary("dnnl"), .linkedLibrary("gomp")]
        ),

        // Arrows point one way: Tessera → Service → Fleet → Coordinator → Sampling → Engine; Worker and Coordinator → Protocol → Engine.
        .target(
            name: "Engine",
            dependencies: [
                "CJPEG", "CKernels", "CLCMS", "COneDNN", "COpenBLAS", "CPNG", "CSodium", "CTIFF",
                "CTorch", "CWebP",
            ],
            swiftSettings: strict
        ),
        .target(
            name: "Protocol",
            dependencies: [
                "CSodium", "CZeroMQ", "CZlib", "Engine",
                .product(name: "SwiftProtobuf", package: "swift-protobuf"),
            ],
            exclude: ["messages.proto"],
            swiftSettings: strict
        ),
        // The method alone: values in, values out, no I/O.
        .target(name: "Sampling", dependencies: ["Engine"], swiftSettings: strict),
        // One render: the dispatcher and its socket, the session, checkpoints, output.
        .target(
            name: "Coordinator",
            dependencies: [
                "Engine", "Protocol", "Sampling",
                .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: strict
        ),
        // Workers as processes, on this host and on those of a file.
        .target(
            name: "Fleet",
            dependencies: [
                "Coordinator", "Engine", "Protocol",
                .product(name: "Logging", package: "swift-log"),
                "Yams",
            ],
            swiftSettings: strict
        ),
        .target(
            name: "Worker",
            dependencies: [
                "Engine", "Protocol",
                .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: strict
        ),
        // Renders for other programs: the durable queue, the HTTP API.
        .target(
            name: "Service",
            dependencies: [
                "CPage", "Coordinator", "Engine", "Fleet", "Protocol", "Sampling",
                .product(name: "GRDB", package: "GRDB.swift"),
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "HummingbirdCore", package: "hummingbird"),
                .product(name: "HummingbirdTLS", package: "hummingbird"),
                .product(name: "CoreMetrics", package: "swift-metrics"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
            ],
            swiftSettings: strict
        ),
        .executableTarget(
            name: "Tessera",
            dependencies: [
                "Coordinator", "Engine", "Fleet", "Protocol", "Sampling", "Service", "Worker",
                "Yams",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: strict
        ),

        // One network evaluated on request, for `make bench`.
        .executableTarget(
            name: "Evaluations",
            dependencies: [
                "Engine", .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            path: "Benchmarks/Evaluations",
            swiftSettings: strict
        ),

        // Imagined fleets, for `make bench`.
        .executableTarget(
            name: "Schedules",
            dependencies: [
                "Coordinator", "Engine", "Fleet", "FleetSimulation", "Protocol", "Sampling",
                .product(name: "Logging", package: "swift-log"),
            ],
            path: "Benchmarks/Schedules",
            swiftSettings: strict
        ),

        // Checks of workers' answers, for `make bench`.
        .executableTarget(
            name: "Checks",
            dependencies: ["Coordinator", "Engine", "Protocol", "Sampling"],
            path: "Benchmarks/Checks",
            swiftSettings: strict
        ),

        // Packed tensors of renders, for `make bench`.
        .executableTarget(
            name: "Packing",
            dependencies: ["Coordinator", "DirectRendering", "Engine", "Protocol", "Sampling"],
            path: "Benchmarks/Packing",
            swiftSettings: strict
        ),

        // Very large pictures, for `make bench`.
        .executableTarget(
            name: "Pictures",
            dependencies: ["Coordinator", "DirectRendering", "Engine", "Sampling"],
            path: "Benchmarks/Pictures",
            swiftSettings: strict
        ),

        // Tests.
        .target(
            name: "TestSupport",
            dependencies: ["Engine"],
            path: "Tests/Support",
            swiftSettings: strict
        ),
        .target(
            name: "FakeModel",
            dependencies: ["Engine"],
            path: "Tests/FakeModel",
            swiftSettings: strict
        ),
        .target(
            name: "DirectRendering",
            dependencies: ["Engine", "Sampling"],
            path: "Tests/DirectRendering",
            swiftSettings: strict
        ),
        .target(
            name: "FleetSimulation",
            dependencies: ["Coordinator", "Engine", "Protocol", "Sampling"],
            path: "Tests/FleetSimulation",
            swiftSettings: strict
        ),
        .executableTarget(
            name: "TestWorker",
            dependencies: [
                "Coordinator", "Engine", "FakeModel", "Fleet", "Protocol", "Sampling", "Worker",
                .product(name: "Logging", package: "swift-log"),
            ],
            path: "Tests/TestWorker",
            swiftSettings: strict
        ),
        .testTarget(
            name: "EngineTests",
            dependencies: ["Engine", "CPNG", "CTIFF", "TestSupport"],
            swiftSettings: strict
        ),
        .testTarget(
            name: "ProtocolTests",
            dependencies: ["Protocol", "TestSupport"],
            swiftSettings: strict
        ),
        .testTarget(
            name: "SamplingTests",
            dependencies: ["Sampling", "TestSupport"],
            swiftSettings: strict
        ),
        .testTarget(
            name: "CoordinatorTests",
            dependencies: [
                "Coordinator", "DirectRendering", "Fleet", "FleetSimulation", "Protocol",
                "Sampling",
                "TestSupport",
            ],
            swiftSettings: strict
        ),
        .testTarget(
            name: "WorkerTests",
            dependencies: [
                "Worker", "Coordinator", "DirectRendering", "FakeModel", "Fleet", "Sampling",
                "TestSupport", "TestWorker",
            ],
            swiftSettings: strict
        ),
        .testTarget(
            name: "ServiceTests",
            dependencies: ["Coordinator", "Engine", "Sampling", "Service", "TestSupport"],
            swiftSettings: strict
        ),
        .testTarget(
            name: "TesseraTests",
            dependencies: ["Tessera", "TestSupport"],
            swiftSettings: strict
        ),
    ],
    swiftLanguageModes: [.v6]
)
