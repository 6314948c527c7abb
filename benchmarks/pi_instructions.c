// A plugin of QEMU 7.2 (plugin API version 1): counts the guest's instructions, and prints the count at each
// call of umask(0x7e0) or umask(0x7e1), with which benchmarks/pi_instructions.py marks what is counted. The
// prototypes are those of qemu-plugin.h, which Debian does not package.

#include <inttypes.h>
#include <stdio.h>

#define EXPORTED __attribute__((visibility("default")))
#define INLINE_ADD_U64 0
#define SYSCALL_UMASK_AARCH64 166
#define FIRST_MARK 0x7e0

typedef uint64_t plugin_id;
struct qemu_plugin_tb;

size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *block);
void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id, void (*)(plugin_id, struct qemu_plugin_tb *));
void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *, int, void *, uint64_t);
void qemu_plugin_register_vcpu_syscall_cb(
    plugin_id, void (*)(plugin_id, unsigned, int64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t,
                        uint64_t, uint64_t, uint64_t));

EXPORTED int qemu_plugin_version = 1;

static uint64_t instructions;

// Each block of code adds its length to the count whenever it runs.
static void on_translation(plugin_id id, struct qemu_plugin_tb *block) {
    (void)id;
    uint64_t length = qemu_plugin_tb_n_insns(block);
    qemu_plugin_register_vcpu_tb_exec_inline(block, INLINE_ADD_U64, &instructions, length);
}

static void on_syscall(plugin_id id, unsigned cpu, int64_t number, uint64_t mask, uint64_t b, uint64_t c,
                       uint64_t d, uint64_t e, uint64_t f, uint64_t g, uint64_t h) {
    (void)id, (void)cpu, (void)b, (void)c, (void)d, (void)e, (void)f, (void)g, (void)h;
    if (number == SYSCALL_UMASK_AARCH64 && (mask & ~(uint64_t)1) == FIRST_MARK)
        fprintf(stderr, "instructions %d %" PRIu64 "\n", (int)(mask & 1), instructions);
}

EXPORTED int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv) {
    (void)info, (void)argc, (void)argv;
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
    qemu_plugin_register_vcpu_syscall_cb(id, on_syscall);
    return 0;
}
