import Engine
import Foundation
import Protocol

/// The work of a worker's compute thread: takes batches of units in order, computes them and posts the results.
///
/// On a CPU, batches run one after the other. An asynchronous device would idle while its last result is combined and
/// sent and the next input is uploaded, so there the steps of two batches overlap:
///
///     thread   start 1 │ upload 2 │ download 1 │ start 2 │ guidance and answers 1 │ upload 3 │ download 2 │ …
///     device           └──── computes 1 ───────┘         └───────────── computes 2 ──────────┘
///
/// Only `download` waits. Whatever cannot be staged (parts of the VAE, or views that do not fit in memory together) or
/// fails is computed by `Evaluator.evaluate` in its turn; the batch behind it is then uploaded again.
package final class ComputePipeline {
    private let evaluator: Evaluator
    private let units: BlockingQueue<Computation?>
    private let post: (WorkerNote) -> Void
    /// Number of views that fit in device memory, as last posted.
    private var fitting: Int?
    /// Shortest time per view, for the shape of the previous batch.
    private var quickest: (shape: BatchSizes.Shape?, time: Duration)?

    /// - Parameters:
    ///   - evaluator: the evaluator to use
    ///   - units: the units to compute; nil ends `run`
    ///   - post: receives results, in the order of the batches
    package init(
        _ evaluator: Evaluator,
        units: BlockingQueue<Computation?>,
        post: @escaping (WorkerNote) -> Void
    ) {
        (self.evaluator, self.units, self.post) = (evaluator, units, post)
    }

    /// A batch, with its input on the device if possible.
    private struct Batch {
        let computation: Computation
        var staged: Evaluator.StagedViews?

        init(computation: Computation, staged: Evaluator.StagedViews? = nil) {
            (self.computation, self.staged) = (computation, staged)
        }
    }

    /// Results of a batch before guidance is applied.
    private struct Finished {
        let batch: Computation
        let views: Evaluator.StagedViews
        let rows: [Tensor]
        let spent: Duration
    }

    /// Computes until it is told to stop, or the device is lost.
    package func run() {
        var next = units.take().map { stage($0) }
        var finished: Finished?
        while var batch = next {
            let began = ContinuousClock.now
            // Batches that arrived too late to be staged are staged now.
            batch.staged = batch.staged ?? stage(batch.computation).staged
            let starts = attempt { try batch.staged?.start() }
            finished = answer(finished)
            if case .failure(.lost(let error)) = starts { return post(.lost(error)) }
            guard case .success = starts, let views = batch.staged else {
                batch.staged = nil
                guard compute(batch.computation, since: began) else { return }
                next = units.take().map { stage($0) }
                continue
            }
            var following = units.take(before: .now + patience(for: batch))
                .map { $0.map { stage($0) } }
            switch attempt({ try views.finish() }) {
            case .success(let rows):
                let spent = began.duration(to: .now)
                note(batch, spent)
                finished = Finished(
                    batch: batch.computation,
                    views: views,
                    rows: rows,
                    spent: spent
                )
            case .failure(.lost(let error)): return post(.lost(error))
            case .failure(.other):
                // Frees all memory for this batch.
                following??.staged = nil
                batch.staged = nil
                guard compute(batch.computation, since: began) else { return }
            }
            if following == nil {
                following = units.take(before: .now).map { $0.map { Batch(computation: $0) } }
            }
            if following == nil {
                finished = answer(finished)
                following = .some(units.take().map { stage($0) })
            }
            next = following ?? nil
        }
        _ = answer(finished)
    }

    /// How long to wait for the next batch while the device computes this one: half of the least time that it will
    /// take, or not at all if that is not known.
    private func patience(for batch: Batch) -> Duration {
        let views = batch.computation.batch
        guard let quickest, quickest.shape == BatchSizes.Shape(views[0].unit) else { return .zero }
        return quickest.time * views.count / 2
    }

    private func note(_ batch: Batch, _ spent: Duration) {
        let views = batch.computation.batch
        let shape = BatchSizes.Shape(views[0].unit)
        let time = spent / views.count
        let isKnown = quickest?.shape == shape
        quickest = (shape, isKnown ? min(time, quickest?.time ?? time) : time)
    }

    private enum Failure: Error {
        case lost(DeviceError)
        /// Computing it again, alone, may succeed or shows what is wrong.
        case other
    }

    private func attempt<T>(_ body: () throws -> T) -> Result<T, Failure> {
        do {
            return .success(try body())
        } catch let error as DeviceError where error.kind == .lost {
            return .failure(.lost(error))
        } catch {
            return .failure(.other)
        }
    }

    private func stage(_ computation: Computation) -> Batch {
        Batch(
            computation: computation,
            staged: evaluator.staged(
                computation.batch.map(\.unit),
                cancellation: computation.cancellation
            )
        )
    }

    /// Applies guidance and posts the results.
    ///
    /// - Returns: nil, because nothing is left to post
    private func answer(_ finished: Finished?) -> Finished? {
        guard let finished else { return nil }
        let results = finished.views.results(of: finished.rows)
        report(finished.batch, finished.spent, results.map { .success($0) })
        return nil
    }

    /// Computes a batch from start to finish, and posts the results.
    ///
    /// - Returns: false if the device is lost
    private func compute(_ computation: Computation, since began: ContinuousClock.Instant) -> Bool {
        let units = computation.batch.map(\.unit)
        let result = attempt {
            try self.results(of: units, computation.cancellation)
        }
        guard case .success(let results) = result else {
            if case .failure(.lost(let error)) = result { post(.lost(error)) }
            return false
        }
        // If one unit is at fault, each is computed on its own and reports its own time.
        guard let results else {
            return computation.batch.allSatisfy { unit in
                var alone = computation
                alone.batch = [unit]
                return compute(alone, since: .now)
            }
        }
        report(computation, began.duration(to: .now), results)
        return true
    }

    /// - Returns: nil if one of several units is at fault
    /// - Throws: `DeviceError` if the device is lost
    private func results(
        of units: [WorkUnit],
        _ cancellation: Cancellation
    ) throws -> [Result<WorkResult, ComputeError>]? {
        do {
            return try evaluator.evaluate(units, cancellation: cancellation).map { .success($0) }
        } catch is ComputationCancelled {
            return units.map { _ in .failure(.cancelled) }
        } catch is TileNotKept where units.count == 1 {
            return [.failure(.missing)]
        } catch let error as DeviceError where error.kind == .lost {
            throw error
        } catch {
            return units.count == 1 ? [.failure(.failed("\(error)"))] : nil
        }
    }

    /// Posts the results of a batch; the first note carries the time of the whole batch.
    private func report(
        _ computation: Computation,
        _ spent: Duration,
        _ results: [Result<WorkResult, ComputeError>]
    ) {
        if let views = evaluator.fittingViews, views != fitting {
            post(.fitted(views))
            fitting = views
        }
        let parts = spent.components
        let microseconds = parts.seconds * 1_000_000 + parts.attoseconds / 1_000_000_000_000
        for (place, result) in results.enumerated() {
            post(
                .finished(
                    computation.batch[place].id,
                    of: computation.number,
                    microseconds: place == 0 ? UInt64(max(0, microseconds)) : 0,
                    result
                )
            )
        }
    }
}

/// A batch of units for the compute thread, and its cancellation.
package struct Computation: Sendable {
    /// The number of the batch within its session.
    package var number: Int
    package var batch: [(id: UnitID, unit: WorkUnit)]
    package var cancellation: Cancellation

    package init(
        _ number: Int,
        _ batch: [(id: UnitID, unit: WorkUnit)],
        _ cancellation: Cancellation = Cancellation()
    ) {
        (self.number, self.batch, self.cancellation) = (number, batch, cancellation)
    }
}

/// Messages from other threads to the worker's socket thread.
package enum WorkerNote: Sendable {
    case finished(
        UnitID,
        of: Int,
        microseconds: UInt64,
        Result<WorkResult, ComputeError>
    )
    /// Device memory holds this many views at once.
    case fitted(Int)
    /// The device is lost: nothing more can be computed in this process.
    case lost(DeviceError)
    case stop
}
