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
        .target(name: "CPNG", cSettings: strictC, linkerSettings: [.linkedLibrary("png")]),
        .target(name: "CTIFF", cSettings: strictC, linkerSettings: [.linkedLibrary("tiff")]),
        .target(name: "CKernels", cSettings: strictC),
        .target(
            name: "COneDNN",
            dependencies: ["CKernels"],
            cSettings: strictC,
            linkerSettings: [.linkedLibrary("dnnl"), .linkedLibrary("gomp")]
        ),

        // Arrows point one way: Tessera → Coordinator, Worker → Protocol, Engine.
        .target(
            name: "Engine",
            dependencies: [
                "CKernels", "CLCMS", "COneDNN", "COpenBLAS", "CPNG", "CSodium", "CTIFF",
            ],
            swiftSettings: strict
        ),
        .target(
            name: "Protocol",
            dependencies: [
                "CSodium", "CZeroMQ", "Engine",
                .product(name: "SwiftProtobuf", package: "swift-protobuf"),
            ],
            exclude: ["messages.proto"],
            swiftSettings: strict
        ),
        .target(
            name: "Coordinator",
            dependencies: [
                "Engine", "Protocol",
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
        .executableTarget(
            name: "Tessera",
            dependencies: [
                "Coordinator", "Worker",
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
                "Coordinator", "Engine", "FleetSimulation", "Protocol",
                .product(name: "Logging", package: "swift-log"),
            ],
            path: "Benchmarks/Schedules",
            swiftSettings: strict
        ),

        // Very large pictures, for `make bench`.
        .executableTarget(
            name: "Pictures",
            dependencies: ["Coordinator", "DirectRendering", "Engine", "Protocol"],
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
            dependencies: ["Engine", "Protocol", "Worker"],
            path: "Tests/FakeModel",
            swiftSettings: strict
        ),
        .target(
            name: "DirectRendering",
            dependencies: ["Coordinator", "Engine", "Protocol"],
            path: "Tests/DirectRendering",
            swiftSettings: strict
        ),
        .target(
            name: "FleetSimulation",
            dependencies: ["Coordinator", "Protocol"],
            path: "Tests/FleetSimulation",
            swiftSettings: strict
        ),
        .executableTarget(
            name: "TestWorker",
            dependencies: [
                "Coordinator", "FakeModel", "Worker",
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
            name: "CoordinatorTests",
            dependencies: ["Coordinator", "FleetSimulation", "Protocol", "TestSupport"],
            swiftSettings: strict
        ),
        .testTarget(
            name: "WorkerTests",
            dependencies: [
                "Worker", "Coordinator", "DirectRendering", "FakeModel", "TestSupport",
                "TestWorker",
            ],
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
