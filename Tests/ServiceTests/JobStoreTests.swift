import Engine
import Foundation
import Service
import TestSupport
import Testing

/// The queue on disk.
@Suite struct JobStoreTests {
    private func draft(
        _ user: String = "ann",
        key: String? = nil,
        digest: String = "d",
        model: String = "tiny",
        evaluations: Int = 10
    ) -> JobDraft {
        JobDraft(
            user: user,
            model: model,
            request: JobRequest(prompt: "a cat"),
            width: 64,
            height: 64,
            steps: 1,
            evaluations: evaluations,
            key: key,
            digest: digest
        )
    }

    private func inStore(_ body: (JobStore, String) throws -> Void) throws {
        try inTemporaryFolder { folder in
            let path = "\(folder)/jobs.sqlite"
            try body(try JobStore(path: path), path)
        }
    }

    /// Prompts and token digests are private, even in a folder that others may read.
    @Test func theFileIsPrivate() throws {
        try inStore { store, path in
            _ = try store.submit(draft(), limits: ServiceLimits(), now: 5)
            for name in [path, "\(path)-wal"] {
                let facts = try FileManager.default.attributesOfItem(atPath: name)
                #expect(facts[.posixPermissions] as? Int == 0o600, "\(name)")
            }
        }
    }

    @Test func whatIsNoDatabaseIsNamed() throws {
        try inTemporaryFolder { folder in
            let path = "\(folder)/jobs.sqlite"
            try Data(repeating: 7, count: 5000).write(to: URL(fileURLWithPath: path))
            let error = #expect(throws: InputError.self) { try JobStore(path: path) }
            #expect(error?.place == path && error?.remedy.contains("move it away") == true)
            let error2 = #expect(throws: InputError.self) { try JobStore(path: folder) }
            #expect(error2?.place == folder)
        }
    }

    @Test func jobsSurviveAReopening() throws {
        try inStore { store, path in
            let (job, isNew) = try store.submit(draft(), limits: ServiceLimits(), now: 5)
            #expect(isNew && job.number == 1 && job.state == .queued && job.id.count == 20)
            let again = try JobStore(path: path)
            #expect(try again.job(job.id) == job)
        }
    }

    @Test func aKeyGivesTheSameJob() throws {
        try inStore { store, _ in
            let limits = ServiceLimits()
            let first = try store.submit(draft(key: "k"), limits: limits, now: 0)
            let second = try store.submit(draft(key: "k"), limits: limits, now: 1)
            #expect(second.job == first.job && !second.isNew)
            // Another user's key is a different key; jobs without a key are never the same.
            #expect(try store.submit(draft("ben", key: "k"), limits: limits, now: 1).isNew)
            #expect(try store.submit(draft(), limits: limits, now: 1).isNew)
            #expect(try store.submit(draft(), limits: limits, now: 1).isNew)
            #expect(throws: KeyReused.self) {
                try store.submit(draft(key: "k", digest: "other"), limits: limits, now: 2)
            }
        }
    }

    /// A small picture is started beside a large one, whoever's turn it is; another model waits until nothing runs.
    @Test func aSmallJobIsBegunBesideALargeOne() throws {
        try inStore { store, _ in
            func submit(_ user: String, _ evaluations: Int, _ model: String = "tiny") throws -> Job
            {
                let draft = draft(user, model: model, evaluations: evaluations)
                return try store.submit(draft, limits: ServiceLimits(), now: 0).job
            }
            let first = try submit("ann", 1000)
            let second = try submit("ann", 900)
            _ = try submit("ben", 100, "other")
            let small = try submit("cid", 200)
            #expect(try store.takeNext(loaded: nil, now: 1)?.id == first.id)
            let slot = RenderSlots.Slot(weights: "tiny", most: 250)
            #expect(try store.takeNext(loaded: "tiny", slot: slot, now: 1)?.id == small.id)
            #expect(try store.takeNext(loaded: "tiny", slot: slot, now: 1) == nil)
            // Jobs for the loaded model go before the other one a few times; after that, nothing is started beside
            // them.
            let open = RenderSlots.Slot(weights: "tiny")
            #expect(try store.takeNext(loaded: "tiny", slot: open, now: 1)?.id == second.id)
            #expect(try store.takeNext(loaded: "tiny", slot: open, now: 1) == nil)
            #expect(try store.takeNext(loaded: "tiny", now: 1)?.model == "other")
        }
    }

    @Test func aFullQueueRefuses() throws {
        try inStore { store, _ in
            var limits = ServiceLimits()
            (limits.jobsPerUser, limits.jobs) = (2, 3)
            let first = try store.submit(draft(key: "k"), limits: limits, now: 0).job
            _ = try store.submit(draft(), limits: limits, now: 0)
            #expect(throws: LimitExceeded.self) {
                try store.submit(draft(), limits: limits, now: 0)
            }
            _ = try store.submit(draft("ben"), limits: limits, now: 0)
            #expect(throws: LimitExceeded.self) {
                try store.submit(draft("cem"), limits: limits, now: 0)
            }
            // A repeated submission is answered, and jobs that have ended do not count.
            #expect(try !store.submit(draft(key: "k"), limits: limits, now: 0).isNew)
            _ = try store.change(first.id, .cancel, now: 1)
            #expect(try store.submit(draft(), limits: limits, now: 2).isNew)
        }
    }

    @Test func runningJobsComeBackAfterACrash() throws {
        try inStore { store, path in
            let ids = try (0..<4).map { _ in
                try store.submit(draft(), limits: ServiceLimits(), now: 0).job.id
            }
            for id in ids { #expect(try store.takeNext(loaded: nil, now: 1)?.id == id) }
            #expect(try store.takeNext(loaded: nil, now: 1) == nil)
            // The second job had written its picture; the third was to be cancelled, the fourth paused.
            _ = try store.change(ids[2], .cancel, now: 2)
            _ = try store.change(ids[3], .pause, now: 2)
            let again = try JobStore(path: path)
            _ = try again.recover(now: 3) { $0.id == ids[1] ? 99 : nil }
            let states = try ids.map { try again.job($0)?.state }
            #expect(states == [.queued, .done, .cancelled, .paused])
            #expect(try again.job(ids[1])?.bytes == 99)
            #expect(try again.job(ids[2])?.finished == 3)
        }
    }

    @Test func aJobThatKeepsCrashingTheServiceFails() throws {
        try inStore { store, _ in
            let id = try store.submit(draft(), limits: ServiceLimits(), now: 0).job.id
            for _ in 0..<JobStore.maxCrashes {
                #expect(try store.takeNext(loaded: nil, now: 1)?.id == id)
                _ = try store.recover(now: 2) { _ in nil }
            }
            let job = try #require(try store.job(id))
            #expect(job.state == .failed && job.error?.contains("5 times") == true)
        }
    }

    @Test func endings() throws {
        try inStore { store, _ in
            func run() throws -> String {
                let id = try store.submit(draft(), limits: ServiceLimits(), now: 0).job.id
                #expect(try store.takeNext(loaded: nil, now: 1)?.id == id)
                return id
            }
            let (done, failed, stopped, paused) = (try run(), try run(), try run(), try run())
            #expect(try store.ended(done, .done(bytes: 7), now: 2)?.bytes == 7)
            #expect(try store.ended(failed, .failed("why"), now: 2)?.error == "why")
            #expect(try store.ended(stopped, .stopped, now: 2)?.state == .queued)
            _ = try store.change(paused, .pause, now: 2)
            let job = try store.ended(paused, .stopped, now: 3)
            #expect(job?.state == .paused && job?.intent == nil)
            #expect(try store.counts() == [.done: 1, .failed: 1, .queued: 1, .paused: 1])
            // Only finished jobs are deleted.
            #expect(try !store.delete(stopped))
            #expect(try store.delete(done))
            #expect(try store.ended(done, .stopped, now: 4) == nil)
            #expect(try store.finished().map(\.id) == [failed])
        }
    }

    @Test func turnsSurviveAReopening() throws {
        try inStore { store, path in
            for _ in 0..<3 { _ = try store.submit(draft("ann"), limits: ServiceLimits(), now: 0) }
            for _ in 0..<2 { _ = try store.submit(draft("ben"), limits: ServiceLimits(), now: 0) }
            #expect(try store.takeNext(loaded: nil, now: 1)?.user == "ann")
            let again = try JobStore(path: path)
            let users = try (0..<4).map { _ in try again.takeNext(loaded: nil, now: 1)?.user }
            #expect(users == ["ben", "ann", "ben", "ann"])
        }
    }
}
