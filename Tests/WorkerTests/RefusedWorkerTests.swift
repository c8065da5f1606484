import Coordinator
import Engine
import FakeModel
import Foundation
import Protocol
import TestSupport
import Testing
import Worker

/// Workers that keep running when they are refused: they change to what is required, or retry.
@Suite(.serialized) struct RefusedWorkerTests {
    /// Changes to any model, unless the model is missing.
    private struct FakeChanges: NetworkChanges {
        struct Missing: Error, CustomStringConvertible {
            var description: String { "the model is not on this host" }
        }

        let isMissing: Bool

        func networks(
            _ present: any ModelNetworks,
            for required: WorkerRequirements
        ) throws -> any ModelNetworks {
            if isMissing { throw Missing() }
            return FakeNetworks(digest: required.model.digest)
        }

        func isTemporary(_ networks: any ModelNetworks) -> Bool { false }
        func restored(_ present: any ModelNetworks) -> (any ModelNetworks)? { nil }
    }

    private static let other = String(repeating: "cd", count: 32)

    @Test func aWorkerThatHasTheModelChangesToIt() throws {
        let local = try ThreadCluster()
        defer { local.stop() }
        try local.add(name: "box-1", digest: Self.other, changes: FakeChanges(isMissing: false))
        let views = makeViews(3)
        let job = local.cluster.open(geometry)
        #expect(try job.tensors(views).map(\.values) == expected(views))
        #expect(local.cluster.statistics.map(\.name) == ["box-1"])
        #expect(local.cluster.refused.isEmpty)
    }

    @Test func aWorkerThatHasItNotKeepsCallingAndSaysWhy() throws {
        let local = try ThreadCluster()
        defer { local.stop() }
        try local.add(name: "box-1", digest: Self.other, changes: FakeChanges(isMissing: true))
        #expect(eventually { local.cluster.refused["box-1"]?.isChanging == false })
        let reason = local.cluster.refused["box-1"]?.reason ?? ""
        for part in [
            "/models/fake (cdcd", "/models/here (abab", "the model is not on this host",
        ] { #expect(reason.contains(part), "\(reason)") }
        #expect(local.ending(of: "box-1") == nil)
        #expect(local.cluster.statistics.isEmpty)
    }

    /// An obstacle to changing for one coordinator is not held against the worker by the next one.
    @Test func anObstacleToSomethingElseDoesNotCount() throws {
        var hello = WorkerMessage.Hello(
            name: "box-1",
            model: ModelIdentity(digest: Self.other, path: "/models/fake"),
            threads: 1,
            processor: "",
            backend: "fake",
            precision: "f32",
            processID: 1
        )
        hello.adapts = true
        let local = try ThreadCluster()
        defer { local.stop() }
        let wanted = local.cluster.required.summary
        for (requirements, isChanging) in [("another any any", true), (wanted, false)] {
            hello.obstacle = .init(requirements: requirements, reason: "it is not here")
            let peer = try Socket(.dealer, in: SocketContext())
            try peer.connect(local.cluster.endpoint)
            _ = try peer.send(WorkerMessage.hello(hello).frames)
            #expect(eventually { local.cluster.refused["box-1"]?.isChanging == isChanging })
            let reason = local.cluster.refused["box-1"]?.reason ?? ""
            #expect(reason.contains("it is not here") != isChanging, "\(reason)")
        }
    }

    /// With --only, workers that an earlier command left running on other hosts do not join, but keep running.
    @Test func workersThatWereNotSelectedDoNotJoin() throws {
        let local = try ThreadCluster { $0.selected = ["box-1"] }
        defer { local.stop() }
        for name in ["box-1", "cave-1"] {
            try local.add(name: name, changes: FakeChanges(isMissing: false))
        }
        let views = makeViews(6)
        let job = local.cluster.open(geometry)
        #expect(try job.tensors(views).map(\.values) == expected(views))
        #expect(local.cluster.statistics.map(\.name) == ["box-1"])
        #expect(local.cluster.refused.isEmpty && local.ending(of: "cave-1") == nil)
    }

    /// A worker that cannot change ends with an error that names both models.
    @Test func otherWorkersEnd() throws {
        let local = try ThreadCluster()
        defer { local.stop() }
        try local.add(name: "box-1", digest: Self.other)
        #expect(eventually { local.ending(of: "box-1") != nil })
        #expect(local.cluster.refused["box-1"]?.isChanging == false)
        let words = local.ending(of: "box-1") ?? ""
        #expect(words.contains("/models/fake") && words.contains("/models/here"))
    }

    /// Results of two precisions or backends must not be mixed if one was requested.
    @Test(arguments: [("bf16", nil), (nil, "onednn")] as [(String?, String?)])
    func anotherPrecisionOrBackendIsRefused(precision: String?, backend: String?) throws {
        let local = try ThreadCluster {
            ($0.required.precision, $0.required.backend) = (precision, backend)
        }
        defer { local.stop() }
        try local.add(name: "box-1")
        #expect(eventually { local.cluster.refused["box-1"] != nil })
        let flag = precision.map { "--precision \($0)" } ?? "--backend \(backend ?? "")"
        #expect(local.cluster.refused["box-1"]?.reason.contains(flag) == true)
        #expect(local.cluster.statistics.isEmpty)
    }
}

/// What a worker loads when it is refused.
@Suite struct ModelFileChangesTests {
    private let paths = (
        Fixtures.networks.first?.checkpoint ?? "", Fixtures.networks.last?.checkpoint ?? ""
    )

    private func changes(isAuthenticated: Bool) -> ModelFileChanges {
        ModelFileChanges(
            path: paths.0,
            options: ModelOptions(),
            isAuthenticated: isAuthenticated
        ) { backend, precision in
            EngineOptions(backend: backend ?? .openblas, precision: precision ?? .f32)
        }
    }

    private func networks(_ path: String) throws -> LoadedNetworks {
        let model = try Model(path: path)
        return LoadedNetworks(
            model,
            identity: try ModelIdentity(of: model),
            options: EngineOptions()
        )
    }

    private func required(_ path: String) throws -> WorkerRequirements {
        WorkerRequirements(model: try ModelIdentity(of: Model(path: path)))
    }

    @Test func theCoordinatorsModelIsLoadedWhereItIsTheSame() throws {
        let present = try networks(paths.0)
        let required = try required(paths.1)
        let changed = try changes(isAuthenticated: true).networks(present, for: required)
        #expect(changed.identity == required.model)
        // Back to its own model, whatever the coordinator's path for it.
        let own = WorkerRequirements(
            model: ModelIdentity(digest: present.identity.digest, path: "/elsewhere")
        )
        #expect(
            try changes(isAuthenticated: false).networks(changed, for: own).identity
                == present.identity
        )
    }

    /// A peer that has not proved to be the coordinator cannot make a worker read files.
    @Test func strangersCannotNameFiles() throws {
        let (present, required) = (try networks(paths.0), try required(paths.1))
        #expect(throws: (any Error).self) {
            try changes(isAuthenticated: false).networks(present, for: required)
        }
    }

    @Test func anotherModelAtThePathIsNotLoaded() throws {
        let present = try networks(paths.0)
        var required = try required(paths.1)
        required.model = ModelIdentity(digest: String(repeating: "0", count: 64), path: paths.1)
        let error = #expect(throws: InputError.self) {
            try changes(isAuthenticated: true).networks(present, for: required)
        }
        #expect(error?.description.contains("000000000000") == true)
        required.model = ModelIdentity(digest: required.model.digest, path: "/nowhere/model")
        let missing = #expect(throws: InputError.self) {
            try changes(isAuthenticated: true).networks(present, for: required)
        }
        #expect(missing?.description.contains("/nowhere/model") == true)
    }

    @Test func aBackendIsForOneCoordinatorOnly() throws {
        let present = try networks(paths.0)
        var required = try required(paths.0)
        required.backend = "onednn"
        let changes = changes(isAuthenticated: false)
        let changed = try changes.networks(present, for: required)
        #expect(changed.backend == "onednn" && changed.identity == present.identity)
        #expect(changes.isTemporary(changed) && !changes.isTemporary(present))
        let restored = try #require(changes.restored(changed))
        #expect(restored.backend == "openblas" && changes.restored(restored) == nil)
        required.backend = "abacus"
        #expect(throws: InputError.self) { try changes.networks(present, for: required) }
    }
}
