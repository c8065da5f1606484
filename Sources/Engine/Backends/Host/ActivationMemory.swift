/// The memory of activations.
///
/// A network takes the same buffers in the same order whenever it evaluates inputs of one shape. The first
/// evaluation of a shape is watched; for all later ones every buffer has its place in one block, and
/// nothing is allocated. One thread at a time uses it.
final class ActivationMemory {
    private let pool = BufferPool()
    private var plans: [[Int]: MemoryPlan] = [:]
    private var block = UnsafeMutableRawBufferPointer(start: nil, count: 0)
    private var course = Course.outside
    /// Buffers of the running evaluation that are still held.
    private var held = 0

    /// What a request for memory means.
    private enum Course {
        case outside
        /// The first of its shape: every life is written down.
        case watched([MemoryPlan.Life], clock: Int)
        /// As planned; the next buffer's number.
        case planned(MemoryPlan, next: Int)
    }

    deinit { block.deallocate() }

    /// How often memory was asked of the system.
    private(set) var allocations = 0

    /// Runs one evaluation, all of whose buffers are given back when it ends.
    ///
    /// - Parameters:
    ///   - shape: all that the order of its buffers depends on
    ///   - body: the evaluation
    /// - Returns: what `body` returns
    /// - Throws: what `body` throws
    func evaluating<T>(_ shape: [Int], _ body: () throws -> T) rethrows -> T {
        if let plan = plans[shape] {
            reserve(plan.size)
            course = .planned(plan, next: 0)
        } else {
            course = .watched([], clock: 0)
        }
        var isWhole = false
        defer { finish(shape, isWhole: isWhole) }
        let result = try body()
        isWhole = true
        return result
    }

    /// Runs what makes buffers that outlive the evaluation.
    ///
    /// - Returns: what `body` returns
    func persistent<T>(_ body: () -> T) -> T {
        let before = course
        course = .outside
        defer { course = before }
        return body()
    }

    /// A buffer of at least `bytes` bytes, aligned for every kernel, its contents undefined.
    func take(_ bytes: Int) -> Buffer {
        let wanted = max(MemoryPlan.alignment, bytes)
        switch course {
        case .outside:
            return fresh(wanted) { [pool] in pool.giveBack($0) }
        case .watched(var lives, let clock):
            let index = lives.count
            lives.append(MemoryPlan.Life(bytes: wanted, taken: clock, givenBack: .max))
            course = .watched(lives, clock: clock + 1)
            held += 1
            return fresh(wanted) { [weak self] in self?.giveBack($0, index) }
        case .planned(let plan, let next):
            precondition(
                next < plan.places.count && plan.places[next].bytes == wanted,
                "an evaluation took other buffers than the first of its shape"
            )
            course = .planned(plan, next: next + 1)
            held += 1
            let place = plan.places[next].offset..<plan.places[next].offset + wanted
            return Buffer(UnsafeMutableRawBufferPointer(rebasing: block[place])) { [weak self] _ in
                self?.held -= 1
            }
        }
    }

    private func fresh(
        _ bytes: Int,
        release: @escaping (UnsafeMutableRawBufferPointer) -> Void
    ) -> Buffer {
        let (memory, isNew) = pool.take(bytes)
        if isNew { allocations += 1 }
        return Buffer(memory, release: release)
    }

    private func giveBack(_ memory: UnsafeMutableRawBufferPointer, _ index: Int) {
        pool.giveBack(memory)
        held -= 1
        guard case .watched(var lives, let clock) = course else { return }
        lives[index].givenBack = clock
        course = .watched(lives, clock: clock + 1)
    }

    private func reserve(_ bytes: Int) {
        guard block.count < bytes else { return }
        block.deallocate()
        block = LargePages.allocate(bytes)
        allocations += 1
    }

    private func finish(_ shape: [Int], isWhole: Bool) {
        precondition(held == 0, "\(held) buffers outlive their evaluation")
        if case .watched(let lives, _) = course, isWhole {
            plans[shape] = MemoryPlan(lives)
            pool.drain()
        }
        course = .outside
    }
}

/// Memory on loan.
final class Buffer {
    private let bytes: UnsafeMutableRawBufferPointer
    private let release: (UnsafeMutableRawBufferPointer) -> Void

    init(
        _ bytes: UnsafeMutableRawBufferPointer,
        release: @escaping (UnsafeMutableRawBufferPointer) -> Void
    ) {
        self.bytes = bytes
        self.release = release
    }

    deinit { release(bytes) }

    /// The first byte; a buffer is never empty.
    var start: UnsafeMutableRawPointer {
        guard let start = bytes.baseAddress else { preconditionFailure("an empty buffer") }
        return start
    }
}
